//! The attribute macro of `stagelink-test`, which documents it.

mod arguments;
mod expand;

use proc_macro::TokenStream;
use syn::{ItemFn, parse_macro_input};

use crate::arguments::Arguments;
use crate::expand::expand;

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
/// | `migrations = "path"` | the folder of the migrations; a relative path starts at the package's folder | `migrations.folder` of `stagelink.toml`, or else the nearest folder `migrations` |
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
