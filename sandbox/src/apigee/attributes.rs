//! The custom attributes of developers, teams, apps and products, as resources of their own.

use http::Method;

use super::answer::{Answer, Fault};
use super::body::Body;
use super::path::Attributes;
use super::store::Attribute;
use super::view::AttributesView;
use super::{Call, Edition};

/// Answers a call for an object's attributes, or for one of them.
pub(super) fn answer(
    call: &Call<'_>,
    edition: Edition,
    attributes: &mut Vec<Attribute>,
    part: Attributes,
) -> Result<Answer, Fault> {
    let method = &call.request.method;
    let Attributes::One(name) = part else {
        if method == Method::POST {
            *attributes = Body::read(edition, call)?
                .attributes("attribute")?
                .unwrap_or_default();
        } else if method != Method::GET {
            return Err(Fault::method());
        }
        return Ok(Answer::ok(&AttributesView {
            edition,
            attributes,
        }));
    };
    let place = attributes
        .iter()
        .position(|attribute| attribute.name == name);
    let Some(place) = place else {
        return Err(Fault::coded(
            404,
            "keymanagement.service.attribute_doesnot_exist",
            format!("Attribute {name} does not exist"),
        ));
    };
    match *method {
        Method::GET => {}
        Method::POST => {
            let body = Body::read(edition, call)?;
            body.text("value")?
                .unwrap_or_default()
                .clone_into(&mut attributes[place].value);
        }
        Method::DELETE => return Ok(Answer::ok(&attributes.remove(place))),
        _ => return Err(Fault::method()),
    }
    Ok(Answer::ok(&attributes[place]))
}
