//! Own prices laid over a book, tree over tree: what is read afterwards is one file whose values know where they stand.

use crate::node::{Kind, Node};

/// Lays `own` over `base`, whose path is `path`; adds the paths that were replaced to `replaced`.
///
/// Sections are laid over each other, prices and lists are replaced; nothing written replaces nothing.
pub(super) fn lay(base: Node, own: Node, path: &str, replaced: &mut Vec<String>) -> Node {
    if own.kind == Kind::Null {
        return base;
    }
    let place = own.place.clone();
    let (Kind::Map(mut entries), Kind::Map(own)) = (base.kind, own.kind.clone()) else {
        replaced.push(path.to_owned());
        return own;
    };
    if entries.iter().any(|(key, _)| key.name == "price" || key.name == "value") {
        replaced.push(path.to_owned());
        return Node { place, kind: Kind::Map(own) };
    }
    for (key, value) in own {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{}", key.name);
        let Some(entry) = entries.iter_mut().find(|(known, _)| known.name == key.name) else {
            if value.kind != Kind::Null {
                replaced.push(path);
            }
            entries.push((key, value));
            continue;
        };
        let base = std::mem::replace(&mut entry.1, Node { place: place.clone(), kind: Kind::Null });
        *entry = (key, lay(base, value, &path, replaced));
    }
    Node { place, kind: Kind::Map(entries) }
}
