//! The expansion of the attribute: a test that runs the function on a stage of its own.

use proc_macro2::TokenStream as Tokens;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{FnArg, ItemFn, ReturnType};

use crate::arguments::Arguments;

/// Returns the test.
///
/// # Errors
///
/// When the function cannot be one.
pub(crate) fn expand(arguments: &Arguments, mut function: ItemFn) -> syn::Result<Tokens> {
    let signature = &mut function.sig;
    if signature.asyncness.take().is_none() {
        return Err(syn::Error::new(
            signature.fn_token.span(),
            "a test with a stage is an `async fn`: write `async fn` here, or use `#[test]`",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(syn::Error::new(
            signature.generics.span(),
            "a test has no type parameters",
        ));
    }
    let mut bindings = Vec::new();
    for input in std::mem::take(&mut signature.inputs) {
        let FnArg::Typed(input) = input else {
            return Err(syn::Error::new(
                input.span(),
                "a test is a function and no method: it takes `stage: TestStage`",
            ));
        };
        let (pattern, kind) = (&input.pat, &input.ty);
        // The span has the compiler point at a type that is no argument of a test.
        bindings.push(quote_spanned! {kind.span()=>
            let #pattern = <#kind as ::stagelink_test::FromTestStage>::from_test_stage(&__stage);
        });
    }
    let output = match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, kind) => quote!(#kind),
    };
    let (attributes, visibility) = (&function.attrs, &function.vis);
    let (signature, block) = (&function.sig, &function.block);
    let (options, flavor) = (arguments.options(), arguments.flavor());
    Ok(quote! {
        #[::core::prelude::v1::test]
        #(#attributes)*
        #visibility #signature {
            ::stagelink_test::run(#options, #flavor, async |__stage: ::stagelink_test::TestStage| -> #output {
                #(#bindings)*
                #block
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &str, function: &str) -> Result<String, String> {
        let expand = || {
            let arguments: Arguments = syn::parse_str(arguments)?;
            let function: ItemFn = syn::parse_str(function)?;
            expand(&arguments, function)
        };
        let expanded = expand().map_err(|error| error.to_string())?;
        Ok(expanded.to_string().replace(' ', ""))
    }

    #[test]
    fn arguments_become_options() {
        let arguments = "stage = \"staging\", migrations = \"../sql\", flavor = \"multi_thread\", \
                         worker_threads = 2";
        let text = expanded(arguments, "async fn a(stage: TestStage) {}").unwrap();
        for part in [
            ".stage(\"staging\").migrations(\"../sql\")",
            "Flavor::MultiThread(::core::option::Option::Some(2))",
            "letstage=<TestStageas::stagelink_test::FromTestStage>",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let text = expanded("migrations = false,", "async fn a() -> R {}").unwrap();
        assert!(text.contains(".without_migrations()"), "{text}");
        assert!(text.contains("Flavor::CurrentThread"), "{text}");
    }

    #[test]
    fn mistake_is_told_with_what_to_write() {
        for (arguments, function, part) in [
            ("", "fn a() {}", "is an `async fn`"),
            ("", "async fn a<T>() {}", "no type parameters"),
            ("", "async fn a(&self) {}", "takes `stage: TestStage`"),
            (
                "stag = \"a\"",
                "async fn a() {}",
                "the arguments are stage, migrations",
            ),
            ("stage", "async fn a() {}", "stage has a value"),
            ("stage = staging", "async fn a() {}", "such as \"staging\""),
            (
                "migrations = true",
                "async fn a() {}",
                "false for an empty database",
            ),
            (
                "migrations = 1",
                "async fn a() {}",
                "such as \"../migrations\"",
            ),
            (
                "flavor = \"threads\"",
                "async fn a() {}",
                "\"current_thread\" and \"multi_thread\"",
            ),
            (
                "worker_threads = 2",
                "async fn a() {}",
                "needs flavor = \"multi_thread\"",
            ),
        ] {
            let error = expanded(arguments, function).unwrap_err();
            assert!(error.contains(part), "{arguments} {function}: {error}");
        }
    }
}
