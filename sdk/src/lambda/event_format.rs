//! The formats of the events that are HTTP requests.

/// The format of an HTTP request's event, which is also that of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventFormat {
    /// API Gateway's REST API and HTTP API with payload 1.0, and Netlify.
    ApiGatewayV1,
    /// API Gateway's HTTP API, and a function URL.
    ApiGatewayV2,
    /// A load balancer.
    LoadBalancer {
        /// Its target group has multi-value headers enabled: it sends and takes lists of values.
        is_multi_value: bool,
    },
}
