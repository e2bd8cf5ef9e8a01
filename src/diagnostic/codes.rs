//! The checks: one table, from which the constants, `docs/checks.md` and SARIF's rules come.
//!
//! | range | about |
//! |---|---|
//! | `SW0xx` | reading files and YAML |
//! | `SW1xx` | manifests and their references |
//! | `SW2xx` | plans |
//!
//! A code never changes its meaning, and a code that is gone is not given out again.

#![expect(
    clippy::doc_markdown,
    reason = "the titles are the headings of a page, for people who do not read Rust"
)]

use std::fmt::Write as _;

use super::Code;

/// A check, as its page describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Its code.
    pub code: Code,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// Why it matters and what to do.
    pub text: &'static str,
}

/// Defines the constants and the table.
macro_rules! checks {
    ($($name:ident $code:literal $title:literal $text:literal)*) => {
        $(
            #[doc = $title]
            pub const $name: Code = Code($code);
        )*

        /// Every check, by code.
        pub const CHECKS: &[Check] = &[
            $(Check { code: $name, title: $title, text: $text },)*
        ];
    };
}

checks! {
    UNREADABLE "SW001" "A file or folder cannot be read."
        "The operating system refused it. What it declares is unknown, so the run removes nothing anywhere. Fix the permissions, or name the paths that should be read."
    NOT_UTF8 "SW002" "A file is not UTF-8 text."
        "Save it as UTF-8, without NUL characters. A byte order mark is accepted."
    TOO_LARGE "SW003" "A file is too large."
        "A manifest file holds at most 16 MiB. Split it."
    TOO_MANY_DOCUMENTS "SW004" "A file has too many documents."
        "A file holds at most 50,000 documents. Split it."
    SYNTAX "SW005" "A document is not valid YAML."
        "The place is where the parser gave up; the cause is there or just before. The other documents of the file are read all the same."
    DUPLICATE_KEY "SW006" "A key stands twice in one mapping."
        "YAML allows each key once, and tools differ in which one they take. Keep one of them."
    TOO_COMPLEX "SW007" "A document is nested too deeply or expands too much."
        "Depth, size and the expansion of aliases are bounded, so that no file can stall a run. Write the value out, or split the document."
    NOT_A_MAPPING "SW008" "A document is not a mapping."
        "A manifest starts with `apiVersion:` and `kind:`. A document that is a list or a single value is no manifest."
    OTHER_API "SW009" "A document of another API group is skipped."
        "A folder may hold a whole application; only documents of the group `scopeward.dev` are read, and the `v1` Secrets that a Target names. A file of a folder without `scopeward.dev/` in it is somebody else's, whatever its syntax: all of them are one note. `.scopewardignore` (in gitignore's syntax) leaves files out without a word. `--strict` makes this an error."
    NO_KIND "SW010" "A document without apiVersion or kind."
        "It is skipped where it plainly is something else (a values file, say), and an error where it looks like one of our manifests. `--strict` makes it an error in any case."
    LIST_KIND "SW011" "A `List` of manifests."
        "Lists are not unpacked. Write each item as a document of its own, `---` between them."
    BAD_SECRET "SW012" "A Secret document cannot be used."
        "Each key of `data` holds base64 of UTF-8 text, each key of `stringData` the text itself."
    ENCRYPTED_SECRET "SW013" "A Secret document is still encrypted."
        "It carries SOPS metadata. Decrypt it on the way in: `sops -d secrets.yaml | scopeward sync manifests -`."
    GONE_PATH "SW014" "A PATH is not there any more."
        "The inventory names files that lay there, so it counts as a folder whose manifests all went: what they declared and nobody else does is removed. A PATH that never held anything is an error of usage instead."
    DEAD_LINK "SW015" "A link leads nowhere."
        "What it led to is not known to be gone. Nothing that was declared below it is removed; mend the link, or remove it."
    NOT_CHECKED_OUT "SW016" "A submodule is not checked out."
        "Its folder is empty, which says nothing of what it declares. Nothing of it is removed; `git submodule update --init` checks it out."

    UNKNOWN_VERSION "SW101" "An API version that does not exist."
        "The group is `scopeward.dev`, the version `v1alpha1`."
    UNKNOWN_KIND "SW102" "A kind that does not exist."
        "The kinds are Target, Scope, ScopeBinding and AppScopeSet."
    UNKNOWN_KEY "SW103" "A key that does not exist."
        "A mistyped key would otherwise be ignored silently, and what it was to say would not happen."
    MISSING "SW104" "A required field is missing."
        "Add it; the field's description in the JSON schema says what it means."
    WRONG_TYPE "SW105" "A value of the wrong type."
        "YAML takes unquoted `yes`, `on`, `1.0` or `null` for something other than text: put text in quotes."
    NULL "SW106" "`null` where a value or nothing is meant."
        "Absent means not managed and `[]` means wanted empty; `null` could be taken for either, so it is refused. A key without anything after its colon is `null` as well."
    INVALID_VALUE "SW107" "A value that the field does not take."
        "It is out of range, too long, not one of the choices, or has characters that cannot stand there."
    RULE "SW108" "Fields that contradict each other."
        "The same rules are CEL rules of the custom resource definitions, so `kubectl apply` would refuse the document as well."
    BAD_METADATA "SW109" "`metadata` is not what Kubernetes takes."
        "A manifest has a name of lower-case letters, digits, `-` and `.`; a namespace, if given, has no `.`; labels and annotations are text."
    REPEATED "SW110" "An entry stands twice in one list."
        "It counts once. Keep one of them."
    DUPLICATE_MANIFEST "SW111" "Two manifests of one kind, namespace and name."
        "Neither is used, since none of the two is more right. Rename or remove one."
    UNKNOWN_TARGET "SW112" "A targetRef names a Target that no manifest declares."
        "References without a namespace mean the manifest's own. Pass the folder of the Targets too."
    UNKNOWN_SCOPE "SW113" "A scopeRef names a Scope that no manifest declares."
        "It names the Scope's `metadata.name`, not the scope's own name. Pass the folder of the Scopes too."
    NOT_ON_PRODUCT "SW114" "A scope is not on any API product of the key."
        "Apigee refuses the whole list if one of its scopes is on none of the key's products. Add it to a product, or take it from the list."
    SCOPE_DECLARED_TWICE "SW115" "Two Scopes declare one name on one target."
        "Neither is used. Remove one, or let the other team add a ScopeBinding."
    NAMES_DIFFER_IN_CASE "SW116" "Two scope names on one target differ only in case."
        "Some systems compare names without regard to case, and people do. Choose one spelling."
    PREVIOUS_NAME_TAKEN "SW117" "A previous name is declared by another manifest."
        "A name cannot be renamed away and be wanted at once. Chains and swaps are fine where each manifest gives its own previous name."
    NAME_REFUSED "SW118" "A scope name that the system cannot hold."
        "The system would break on it, in some cases beyond repair. Choose another name."
    TOO_LONG "SW119" "A text that is longer than the system holds."
        "The server would refuse the write or cut the text. Shorten it."
    BAD_ROLE "SW120" "A role name that the system cannot hold."
        "WSO2 joins role names with commas, so a name with a comma or white space at its ends means other roles."
    APP_DECLARED_TWICE "SW121" "Two AppScopeSets are for one app."
        "An AppScopeSet is the full list, so two of them would undo each other. Neither is used. Where one leaves the consumer key out, write the key in both."
    ONE_SYSTEM_TWICE "SW122" "Two Targets are the same live system."
        "Each would take the other's scopes for foreign ones. Neither is used. Keep one, and refer to it across namespaces."
    WRONG_APP "SW123" "An app that the target's system does not have."
        "OneLogin targets take `app.oneLogin`, Apigee targets `app.apigee`; app groups are of X, companies of Edge; WSO2 targets have no app scope sets."
    NAMESPACE_NOT_ALLOWED "SW124" "The target does not allow this namespace."
        "A Target says who may use it: `allowedNamespaces` for Scopes and AppScopeSets, `allowedBindings` for ScopeBindings; the default is its own namespace alone."
    SCOPE_NOT_ALLOWED "SW125" "The target does not allow this scope name."
        "The name matches none of the globs of the Target's `allowedScopes`."
    NEEDS_CLUSTER "SW126" "A rule that only a cluster can judge."
        "`from: Selector` looks at the labels of namespaces, which files do not have. Use `Same` or `All` in files."
    NOT_SUPPORTED "SW127" "A field that this version does not support yet."
        "It is refused rather than ignored, so that nobody relies on what does not happen."
    NO_PLACE "SW128" "A field that the system has no place for."
        "It is left out there. Reported once per target and field."
    OPEN_TO_ALL "SW129" "An empty list that opens access instead of closing it."
        "A WSO2 scope without roles is issued to anybody, and an Apigee key with an empty list gets every scope of its products. Emptying such a list is refused at plan time; on an AppScopeSet `allowEmpty: true` says that it is meant."
    BAD_URL "SW130" "A URL that a target cannot have."
        "It is `https://`, or `http://` to a loopback host, without user, query or fragment."
    BAD_GLOB "SW131" "A glob that cannot be read."
        "`*` stands for any text, `?` for one character, `[ab]` for one of several, `{a,b}` for alternatives."
    BAD_HOLD "SW132" "A hold that cannot be kept."
        "`scopeward.dev/hold-until` takes an RFC 3339 time such as `2026-01-31T12:00:00Z`, at most 30 days ahead."
    ANNOTATION "SW133" "An annotation of ours that does nothing here."
        "It is mistyped, over, or stands on a kind that it does not concern."
    LOWER_CASE "SW134" "An e-mail is used in lower case."
        "Apigee X keeps the e-mails of developers in lower case."
    OUTSIDE_SCOPE "SW135" "A binding narrows to a target that its scope is not on."
        "`targetRefs` of a ScopeBinding is a part of the Scope's own."
    INSECURE "SW136" "Certificates are not verified."
        "Whoever stands between sees the credentials and can answer in the system's place. Use `caFile`, `caSecretRef` or `pinnedSha256`."
    UNDECLARED_SCOPE "SW137" "An app asks for a scope whose name is close to a declared one."
        "An app may hold a scope that no manifest declares, if it is live. This one looks like a mistyped name."

    APP_NOT_THERE "SW201" "A declared app is not there."
        "The system has no such app, or no usable key of it; only this set is left alone. Make it there first, or correct the manifest."
    SCOPE_NOT_THERE "SW202" "An app asks for a scope that will not be there."
        "It is neither declared nor live, or this very plan deletes or renames it. Declare it for this target, or take it from the list. The list is left alone."
    LISTED_TWICE "SW203" "The system lists one scope name more than once."
        "Which of them is meant cannot be told, so nothing is written to this name. Delete the surplus ones there."
    CANNOT_RENAME "SW204" "A rename on a system that cannot rename yet."
        "The previous name is live. Keep that name, or take `previousNames` out and move its users yourself: a delete and a create would take it from them."
    APP_MEANT_TWICE "SW205" "Two AppScopeSets turn out to be for one app."
        "One of them leaves the consumer key out, and the app's only key is the other's. Keep one of them; the set is left alone."
    CANNOT_BE_EMPTIED "SW206" "The list of an app group's key would be emptied."
        "Apigee takes such a list by a POST alone, in which an empty list looks like none and may change nothing. Name every scope of the key's products: that is what an empty list means."
    NEW_INVENTORY "SW210" "The inventory does not know a target that has live objects."
        "Nothing there is managed yet, so what earlier runs made would never be deleted. `apply` and `sync` ask for `--new-inventory`, or for the inventory that knows the target (`--inventory`)."
}

/// The page that describes every check, `docs/checks.md`.
pub fn page() -> String {
    let mut page = String::from(
        "# Checks\n\n\
         Every finding carries a code. An error leaves its document out and the run removes nothing; a warning works and is \
         probably not meant; a note is worth knowing. `make generate` writes this page.\n",
    );
    let mut section = "";
    for check in CHECKS {
        let heading = match &check.code.0[..3] {
            "SW0" => "Reading files",
            "SW1" => "Manifests",
            _ => "Plans",
        };
        if heading != section {
            section = heading;
            let _ = write!(page, "\n## {heading}\n");
        }
        let Check { code, title, text } = check;
        let _ = write!(page, "\n### {}\n\n**{title}** {text}\n", code.0);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_each_stands_once() {
        assert!(CHECKS.windows(2).all(|pair| pair[0].code < pair[1].code));
    }
}
