//! OneLogin: the scopes and clients of one API authorization server.

use super::http::Access;
use super::{Cause, Connect, Credential, Provider, ProviderError};
use crate::model::Target;

/// Opens a target; sends nothing.
pub(super) fn open(
    target: &Target,
    _credential: &Credential,
    _connect: &Connect,
    _access: Access,
) -> Result<Box<dyn Provider>, ProviderError> {
    let why = format!("{} is not supported yet", target.system().label());
    let doing = format!("open target \"{}\"", target.id);
    Err(ProviderError::new(doing, Cause::Configuration(why)))
}
