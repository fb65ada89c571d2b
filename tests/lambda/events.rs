//! One request in the event format of each of Lambda's callers.

use serde_json::{Value, json};

/// Caller of a function.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller {
    /// API Gateway's REST API, with events of version 1; Netlify sends these too.
    RestApi,
    /// API Gateway's HTTP API, with events of version 2.
    HttpApi,
    /// A function URL.
    FunctionUrl,
    /// An application load balancer.
    LoadBalancer,
}

impl Caller {
    pub(crate) const ALL: [Self; 4] = [
        Self::RestApi,
        Self::HttpApi,
        Self::FunctionUrl,
        Self::LoadBalancer,
    ];

    /// Returns the event of a request with a JSON body.
    pub(crate) fn event(self, method: &str, path: &str, body: &str) -> Value {
        let host = self.host();
        let headers = json!({ "content-type": "application/json", "host": host });
        let several = json!({ "content-type": ["application/json"], "host": [host] });
        match self {
            Self::RestApi => json!({
                "resource": "/{proxy+}",
                "path": path,
                "httpMethod": method,
                "headers": headers,
                "multiValueHeaders": several,
                "queryStringParameters": null,
                "multiValueQueryStringParameters": null,
                "pathParameters": { "proxy": path.trim_start_matches('/') },
                "stageVariables": null,
                "requestContext": {
                    "resourceId": "abc123",
                    "resourcePath": "/{proxy+}",
                    "httpMethod": method,
                    "path": path,
                    "accountId": "123456789012",
                    "protocol": "HTTP/1.1",
                    "stage": "prod",
                    "domainName": host,
                    "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
                    "identity": { "sourceIp": "192.0.2.1" },
                    "apiId": "1234567890",
                },
                "body": body,
                "isBase64Encoded": false,
            }),
            Self::HttpApi | Self::FunctionUrl => json!({
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": path,
                "rawQueryString": "",
                "headers": headers,
                "requestContext": {
                    "accountId": "123456789012",
                    "apiId": host.split('.').next(),
                    "domainName": host,
                    "domainPrefix": host.split('.').next(),
                    "http": {
                        "method": method,
                        "path": path,
                        "protocol": "HTTP/1.1",
                        "sourceIp": "192.0.2.1",
                        "userAgent": "test",
                    },
                    "requestId": "id",
                    "routeKey": "$default",
                    "stage": "$default",
                    "time": "25/Nov/2026:12:00:00 +0000",
                    "timeEpoch": 1_795_608_000_000_u64,
                },
                "body": body,
                "isBase64Encoded": false,
            }),
            Self::LoadBalancer => json!({
                "requestContext": {
                    "elb": {
                        "targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/functions/6d0ecf831eec9f09",
                    },
                },
                "httpMethod": method,
                "path": path,
                "queryStringParameters": {},
                "headers": headers,
                "body": body,
                "isBase64Encoded": false,
            }),
        }
    }

    fn host(self) -> &'static str {
        match self {
            Self::RestApi | Self::HttpApi => "1234567890.execute-api.eu-west-1.amazonaws.com",
            Self::FunctionUrl => "abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-west-1.on.aws",
            Self::LoadBalancer => "functions-123.eu-west-1.elb.amazonaws.com",
        }
    }
}
