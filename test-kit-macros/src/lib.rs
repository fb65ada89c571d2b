//! The attribute macro of `stagelink-test`, which documents it.

mod arguments;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{FnArg, ItemFn, ReturnType, parse_macro_input};

use crate::arguments::Arguments;

/// Makes a test of an `async fn`, with a stage of its own: a fresh database of a real Postgres that has
/// the project's migrations.
///
/// ```ignore
/// #[stagelink_test::test]
/// async fn note_is_kept(stage: TestStage) {
///     let notes = stage.function(handle);
///     let response = notes.post("/api/notes").json(&json!({"text": "hello"})).await;
///     assert_eq!(response.status(), 200);
/// }
/// ```
///
/// The function takes any number of arguments of the types `TestStage` and `stagelink::Database`, and
/// returns what a test may: nothing, or a `Result`. At its end the database is dropped, also after a
/// panic. Further attributes such as `#[should_panic]` and `#[ignore]` work as for other tests.
///
/// | argument | meaning | default |
/// | --- | --- | --- |
/// | `stage = "staging"` | the stage | `development` |
/// | `migrations = "path"` | the folder of the migrations; a relative path starts at the package's folder | the nearest folder `migrations` |
/// | `migrations = false` | an empty database | |
/// | `postgres = "npm:18"` | the source of the server | the variable `STAGELINK_POSTGRES`, or the first that works |
/// | `flavor = "multi_thread"` | a runtime of several threads | `current_thread`, as in a function |
/// | `worker_threads = 2` | the number of its threads | one for each processor |
#[proc_macro_attribute]
pub fn test(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(attribute as Arguments);
    let function = parse_macro_input!(item as ItemFn);
    expand(&arguments, function)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

fn expand(arguments: &Arguments, mut function: ItemFn) -> syn::Result<Tokens> {
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
            ("stag = \"a\"", "async fn a() {}", "the arguments are stage, migrations"),
            ("stage", "async fn a() {}", "stage has a value"),
            ("stage = staging", "async fn a() {}", "such as \"staging\""),
            ("migrations = true", "async fn a() {}", "false for an empty database"),
            ("migrations = 1", "async fn a() {}", "such as \"../migrations\""),
            ("flavor = \"threads\"", "async fn a() {}", "\"current_thread\" and \"multi_thread\""),
            ("worker_threads = 2", "async fn a() {}", "needs flavor = \"multi_thread\""),
        ] {
            let error = expanded(arguments, function).unwrap_err();
            assert!(error.contains(part), "{arguments} {function}: {error}");
        }
    }
}
