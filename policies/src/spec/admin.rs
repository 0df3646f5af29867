//! Where the admin API is and who may use it, as written: `admin`.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use super::{
    fields::{Fields, WordOrFields, Written},
    scalar::{self, SOCKET, SOCKET_OR_OFF, Scalar, Shape},
};
use crate::policy::{Admin, AdminTls, Secret, Tokens};

/// Fewest characters of a token: 96 bits where each is one of 64.
const TOKEN_MIN: usize = 16;

/// Reads an address, `off`, or `{ listen, tokens: { read, operator }, tls: { certificate, key, clients } }`. Without a
/// `listen` it is at `default`.
pub(crate) fn admin(
    fields: &mut Fields<'_, '_>,
    default: SocketAddr,
) -> Option<Written<Option<Admin>>> {
    let mut admin = match fields.word_or_fields("admin", SOCKET_OR_OFF) {
        WordOrFields::Nothing => return None,
        WordOrFields::Word(Written { value, place, field }) => {
            return Some(Written { value: value.map(Admin::at), place, field });
        }
        WordOrFields::Fields(admin) => admin,
    };
    let (place, field) = (admin.place.clone(), admin.path.clone());
    let listen = admin.value("listen", SOCKET).map_or(default, |listen| listen.value);
    let tokens = tokens(&mut admin);
    let tls = tls(&mut admin);
    admin.done();
    Some(Written { value: Some(Admin { listen, tokens, tls }), place, field })
}

fn tokens(admin: &mut Fields<'_, '_>) -> Tokens {
    let Some(mut fields) = admin.fields("tokens") else { return Tokens::default() };
    let read = fields.value("read", TOKEN);
    let operator = fields.value("operator", TOKEN);
    if let (Some(read), Some(operator)) = (&read, &operator)
        && read.value == operator.value
    {
        operator.problem(fields.sink, "it is the token of `read`: whoever may look could act, too");
    }
    fields.done();
    let value = |written: Option<Written<Secret>>| written.map(|written| written.value);
    Tokens { read: value(read), operator: value(operator) }
}

fn tls(admin: &mut Fields<'_, '_>) -> Option<AdminTls> {
    let mut fields = admin.fields("tls")?;
    let path = |written: Option<Written<Arc<str>>>| written.map(|path| PathBuf::from(&*path.value));
    let certificate = path(fields.value("certificate", scalar::TEXT));
    let key = path(fields.value("key", scalar::TEXT));
    let clients = path(fields.value("clients", scalar::TEXT));
    for (name, what) in [("certificate", "its chain"), ("key", "its private key")] {
        if !fields.has_value(name) {
            fields.missing(name, &format!("write the path of a PEM file with {what}"));
        }
    }
    fields.done();
    Some(AdminTls { certificate: certificate?, key: key?, clients })
}

/// A token; no message repeats it.
const TOKEN: Scalar<Secret> = scalar::scalar(token, Shape::Text);

fn token(text: &str) -> Result<Secret, String> {
    if text.len() < TOKEN_MIN {
        return Err(format!(
            "a token has {TOKEN_MIN} characters at least, this one has {}; `openssl rand -base64 24` makes one, and `${{VARIABLE}}` \
             keeps it out of this file",
            text.len()
        ));
    }
    // What a header can carry (RFC 6750, section 2.1: `b64token`).
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if !text.bytes().all(legal) {
        return Err("a token consists of letters, digits and -._~+/=".to_owned());
    }
    Ok(Secret::new(text))
}
