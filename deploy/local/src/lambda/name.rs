//! What a caller names: a function by its name, partial ARN or ARN, and a version or alias of it.
//!
//! The qualifier may be part of the name (`f:live`) or a query (`?Qualifier=live`); both must agree.

use http::StatusCode;

use crate::{config::Config, lambda::error::ServiceError};

/// The qualifier of the unpublished version.
pub(crate) const LATEST: &str = "$LATEST";

/// A function and a qualifier as a caller wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The bare name.
    pub(crate) function: String,
    /// The version or alias asked for, if any.
    pub(crate) qualifier: Option<String>,
    /// The ARN without qualifier that this means.
    pub(crate) arn: String,
}

impl Name {
    /// Reads `text` and the `Qualifier` query.
    ///
    /// # Errors
    /// 400 when `text` is no name or the qualifiers differ.
    pub(crate) fn parse(
        text: &str,
        query: Option<&str>,
        config: &Config,
    ) -> Result<Self, ServiceError> {
        let parts: Vec<&str> = text.split(':').collect();
        let own = (config.region.as_str(), config.account.as_str());
        let ((region, account), rest): ((&str, &str), &[&str]) = match &parts[..] {
            ["arn", "aws", "lambda", region, account, "function", rest @ ..] => {
                ((*region, *account), rest)
            }
            [account, "function", rest @ ..] => ((own.0, *account), rest),
            rest => (own, rest),
        };
        let (function, inline) = match rest {
            [name] => (*name, None),
            [name, inline] => (*name, Some(*inline)),
            _ => {
                let message = format!("`{text}` is no function name, partial ARN or ARN");
                return Err(ServiceError::new(
                    StatusCode::BAD_REQUEST,
                    "ValidationException",
                    message,
                ));
            }
        };
        if let (Some(inline), Some(query)) = (inline, query)
            && inline != query
        {
            return Err(ServiceError::parameter(
                "The derived qualifier from the function name does not match the specified qualifier.",
            ));
        }
        Ok(Self {
            function: function.to_owned(),
            qualifier: inline.or(query).map(str::to_owned),
            arn: format!("arn:aws:lambda:{region}:{account}:function:{function}"),
        })
    }

    /// 404 for this name.
    pub(crate) fn not_found(&self) -> ServiceError {
        let suffix = self.qualifier.as_deref().filter(|q| *q != LATEST);
        let suffix = suffix.map(|q| format!(":{q}")).unwrap_or_default();
        ServiceError::not_found(format!("Function not found: {}{suffix}", self.arn))
    }
}
