//! A provider's API as its documentation and its users describe it.

/// The fixed facts about a provider's API, and the advice for each refusal.
pub(in crate::provider) struct ProviderApi {
    /// The provider's name, for messages.
    pub(in crate::provider) name: &'static str,
    /// The media type of its responses.
    pub(in crate::provider) accept: &'static str,
    /// The environment variable that holds the API's URL.
    pub(in crate::provider) url_variable: &'static str,
    /// The environment variable that holds the token.
    pub(in crate::provider) token_variable: &'static str,
    /// Advice after a 401: the API does not accept the token.
    pub(in crate::provider) token_advice: &'static str,
    /// Advice after a 403: the token may not read the resource.
    pub(in crate::provider) access_advice: &'static str,
    /// Advice after a 404: the API does not know the name.
    pub(in crate::provider) name_advice: &'static str,
}

/// An API of the tests.
#[cfg(test)]
pub(super) const API: ProviderApi = ProviderApi {
    name: "Heroku",
    accept: "application/json",
    url_variable: "THE_URL",
    token_variable: "THE_TOKEN",
    token_advice: "make one",
    access_advice: "give it access",
    name_advice: "check the name",
};
