//! The arguments of the attribute.

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitBool, LitInt, LitStr, Token};

/// The arguments of `#[stagelink_test::test(…)]`.
#[derive(Default)]
pub(crate) struct Arguments {
    stage: Option<LitStr>,
    migrations: Option<Migrations>,
    postgres: Option<LitStr>,
    is_multi_thread: Option<bool>,
    worker_threads: Option<LitInt>,
}

enum Migrations {
    Folder(LitStr),
    None,
}

impl Arguments {
    /// Returns the expression of the test's options.
    pub(crate) fn options(&self) -> Tokens {
        let mut options = quote!(::stagelink_test::TestOptions::new());
        if let Some(stage) = &self.stage {
            options.extend(quote!(.stage(#stage)));
        }
        match &self.migrations {
            Some(Migrations::Folder(folder)) => options.extend(quote!(.migrations(#folder))),
            Some(Migrations::None) => options.extend(quote!(.without_migrations())),
            None => {}
        }
        if let Some(source) = &self.postgres {
            options
                .extend(quote!(.postgres(#source.parse().expect("a source of a Postgres server"))));
        }
        options
    }

    /// Returns the expression of the test's runtime.
    pub(crate) fn flavor(&self) -> Tokens {
        match (self.is_multi_thread, &self.worker_threads) {
            (Some(true), Some(threads)) => {
                quote!(::stagelink_test::Flavor::MultiThread(::core::option::Option::Some(#threads)))
            }
            (Some(true), None) => {
                quote!(::stagelink_test::Flavor::MultiThread(
                    ::core::option::Option::None
                ))
            }
            _ => quote!(::stagelink_test::Flavor::CurrentThread),
        }
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            input.parse::<Token![=]>().map_err(|error| {
                let message = format!("{name} has a value: {name} = …");
                syn::Error::new(error.span(), message)
            })?;
            arguments.read(&name, input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if let Some(threads) = &arguments.worker_threads
            && arguments.is_multi_thread != Some(true)
        {
            return Err(syn::Error::new(
                threads.span(),
                "worker_threads needs flavor = \"multi_thread\"",
            ));
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn read(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        match name.to_string().as_str() {
            "stage" => self.stage = Some(text(name, "\"staging\"", input)?),
            "migrations" if input.peek(LitBool) => {
                let value: LitBool = input.parse()?;
                if value.value {
                    return Err(syn::Error::new(
                        value.span(),
                        "migrations is a folder, or false for an empty database; the project's folder \
                         is the default",
                    ));
                }
                self.migrations = Some(Migrations::None);
            }
            "migrations" => {
                let folder = text(
                    name,
                    "\"../migrations\", or false for an empty database",
                    input,
                )?;
                self.migrations = Some(Migrations::Folder(folder));
            }
            "postgres" => self.postgres = Some(text(name, "\"npm:18\"", input)?),
            "flavor" => {
                let flavor = text(name, "\"multi_thread\"", input)?;
                self.is_multi_thread = Some(match flavor.value().as_str() {
                    "multi_thread" => true,
                    "current_thread" => false,
                    _ => {
                        return Err(syn::Error::new(
                            flavor.span(),
                            "the flavors are \"current_thread\" and \"multi_thread\"",
                        ));
                    }
                });
            }
            "worker_threads" => {
                self.worker_threads = Some(input.parse().map_err(|error: syn::Error| {
                    syn::Error::new(error.span(), "worker_threads is a number, such as 2")
                })?);
            }
            _ => {
                return Err(syn::Error::new(
                    name.span(),
                    format!(
                        "there is no argument {name}: the arguments are stage, migrations, postgres, \
                         flavor and worker_threads"
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn text(name: &Ident, example: &str, input: ParseStream<'_>) -> syn::Result<LitStr> {
    input.parse().map_err(|error: syn::Error| {
        let message = format!("{name} is a text, such as {example}");
        syn::Error::new(error.span(), message)
    })
}
