//! stub
pub mod article {
    //! stub
    use crate::poller::source::{Document, ReadError, ReadLimits};
    /// stub
    pub struct Article { /** t */ pub text: String }
    /// stub
    pub fn article(_: &Document<'_>, _: &ReadLimits) -> Result<Article, ReadError> { Err(ReadError(String::new())) }
}
