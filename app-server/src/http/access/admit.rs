//! The decision about who comes in: a pure function from door, head and facts to an admission or a refusal.

use skein_base::system::proc::Unsettled;
use skein_config::access::{Admission, CredentialKind, Door, Grant, Identity, WebOrigin};
use skein_config::{Browser, LocalPrograms};
use skein_protocol::access::Access;

use super::head::{RequestHead, Sender};
use super::refusal::{AccessRefusal, RefusalReason};

/// The needs of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Need {
    /// Nothing: the page's files.
    Page,
    /// Nothing, but no foreign page: health checks and assets.
    Open,
    /// This access.
    Access(Access),
    /// An allowed page, without a credential yet: `POST /auth/session`.
    Ticket,
    /// A credential, whoever bears it: `GET` and `DELETE /auth/session`.
    Bearer,
    /// A local program or a bearer, and no browser: `POST /auth/ticket`.
    NoBrowser,
}

/// The settings that decide.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessRules<'a> {
    pub(crate) local: LocalPrograms,
    pub(crate) browser: &'a Browser,
}

/// The kernel's answer to the question whose the other end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// The server's own.
    Same,
    /// Another user's.
    Other,
    /// The kernel cannot say.
    Unknown,
}

/// A helper at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HelperCaller {
    /// Its name in the settings; `None` for one that has ended.
    pub(crate) name: Option<String>,
    /// Its settings let it connect.
    pub(crate) may_connect: bool,
}

/// The facts about a request that its head does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) user: User,
    pub(crate) helper: Result<Option<HelperCaller>, Unsettled>,
    /// The credential of the request, if it sent one.
    pub(crate) credential: Option<Result<Grant, RefusalReason>>,
}

/// Whether the decision depends on the user at the other end, so that the kernel has to be asked. It is not asked for
/// requests that need nothing.
pub(crate) fn asks_for_user(rules: AccessRules<'_>, need: Need, head: &RequestHead) -> bool {
    let may_be_local = head.socket == Door::Loopback && rules.local != LocalPrograms::Any;
    let holds_secret = !matches!(need, Need::Page | Need::Open);
    may_be_local
        && holds_secret
        && (head.sender != Sender::Program || is_local_program(head) || head.credential.is_some())
}

/// Decides about one request.
///
/// # Errors
/// The answer to a request that does not pass.
pub(crate) fn admit(
    rules: AccessRules<'_>,
    need: Need,
    head: &RequestHead,
    facts: Facts,
) -> Result<Admission, AccessRefusal> {
    let door = head.door;
    let origin = page(rules, need, head)?;
    let is_own_page = origin.as_ref().is_some_and(|origin| is_own(head, origin));
    let anonymous = |origin| Admission {
        door,
        identity: Identity::Anonymous,
        access: Access::Read,
        origin,
        is_own_page,
        is_user_unasked: false,
        is_other_user: false,
    };
    match need {
        Need::Page | Need::Open => return Ok(anonymous(origin)),
        Need::NoBrowser if head.sender != Sender::Program => {
            return Err(
                RefusalReason::Browser.refusal("a browser gets no ticket; a local program or a bearer does")
            );
        }
        Need::Ticket if origin.is_none() => return Err(AccessRefusal::origin(None)),
        Need::Access(_) | Need::Ticket | Need::Bearer | Need::NoBrowser => {}
    }
    let helper = not_a_helper(facts.helper.map_err(|Unsettled| AccessRefusal::unsettled())?)?;
    if need == Need::Ticket {
        return redeemer(rules, head, facts.user, anonymous(origin));
    }
    let (identity, access) = match facts.credential {
        Some(found) => bearer(rules, head, (found.map_err(wrong)?, facts.user), origin.as_ref())?,
        None => local_program(rules, need, head, facts.user)?,
    };
    let (identity, access) = match helper {
        Some(name) => (helper_with(name, identity), access.min(Access::Chat)),
        None => (identity, access),
    };
    has_access(need, access)?;
    let is_user_unasked =
        door == Door::Loopback && rules.local == LocalPrograms::Any && stands_on_user(&identity);
    Ok(Admission { door, identity, access, origin, is_own_page, is_user_unasked, is_other_user: false })
}

/// The admission of a page that redeems a ticket. The user of a proxy may be another one; then the ticket says who may redeem it.
fn redeemer(
    rules: AccessRules<'_>,
    head: &RequestHead,
    user: User,
    anonymous: Admission,
) -> Result<Admission, AccessRefusal> {
    match same_user(rules, head, user) {
        Err(_) if head.is_public => Ok(Admission { is_other_user: true, ..anonymous }),
        same => same.map(|()| anonymous),
    }
}

/// A connection has the access that the route needs.
fn has_access(need: Need, access: Access) -> Result<(), AccessRefusal> {
    if let Need::Access(least) = need
        && access < least
    {
        let text = format!("this needs the scope {least}; this connection has {access}");
        return Err(RefusalReason::Forbidden.refusal(text));
    }
    Ok(())
}

/// Whether another user would be refused.
fn stands_on_user(identity: &Identity) -> bool {
    match identity {
        Identity::LocalProgram => true,
        Identity::Bearer(grant) => grant.same_user,
        Identity::Helper { grant, .. } => grant.as_ref().is_none_or(|grant| grant.same_user),
        Identity::Anonymous => false,
    }
}

/// The origin of the page that sends the request, if a page does.
fn page(rules: AccessRules<'_>, need: Need, head: &RequestHead) -> Result<Option<WebOrigin>, AccessRefusal> {
    let origin = match &head.sender {
        Sender::Program => return Ok(None),
        _ if !takes_pages(head.door) => {
            return Err(RefusalReason::Origin.refusal("no page may use a unix socket; it connects to a port"));
        }
        Sender::Page(origin) if is_allowed(rules, head, origin) => origin,
        // A file of the page holds no secret, and a script of another page cannot read it.
        Sender::Page(_) | Sender::MalformedPage if need == Need::Page => return Ok(None),
        Sender::Page(origin) => return Err(AccessRefusal::origin(Some(origin))),
        Sender::MalformedPage => return Err(AccessRefusal::origin(None)),
        Sender::Browser if matches!(need, Need::Page | Need::Open) => return Ok(None),
        Sender::Browser => {
            return Err(RefusalReason::Origin.refusal("a browser without an Origin gets nothing here"));
        }
    };
    Ok(Some(origin.clone()))
}

/// Whether pages reach this door at all. No browser speaks to a unix socket.
pub(crate) fn takes_pages(door: Door) -> bool {
    door != Door::Unix
}

/// Whether a page of this origin may send the request: a page of the server itself, or one of the settings.
pub(crate) fn is_allowed(rules: AccessRules<'_>, head: &RequestHead, origin: &WebOrigin) -> bool {
    takes_pages(head.door) && (is_own(head, origin) || rules.browser.allows(origin))
}

fn is_own(head: &RequestHead, origin: &WebOrigin) -> bool {
    head.own.as_ref() == Some(origin) || (head.is_public && head.sender.page() == Some(origin))
}

/// Refuses a helper; the name of one that may connect.
fn not_a_helper(helper: Option<HelperCaller>) -> Result<Option<String>, AccessRefusal> {
    match helper {
        None => Ok(None),
        Some(HelperCaller { name: None, .. }) => {
            Err(RefusalReason::Helper.refusal("a process of a helper that has ended may not connect"))
        }
        Some(HelperCaller { name: Some(name), may_connect: true }) => Ok(Some(name)),
        Some(HelperCaller { name: Some(name), may_connect: false }) => {
            let key = format!("mcp_servers.{name}.may_connect = true");
            Err(RefusalReason::Helper.refusal(format!("helper {name} may not connect; if it should: {key}")))
        }
    }
}

/// A helper that may connect. Its credential's end ends its connection.
fn helper_with(name: String, identity: Identity) -> Identity {
    let grant = match identity {
        Identity::Bearer(grant) => Some(grant),
        Identity::Helper { grant, .. } => grant,
        Identity::LocalProgram | Identity::Anonymous => None,
    };
    Identity::Helper { name, grant }
}

fn is_local_program(head: &RequestHead) -> bool {
    head.sender == Sender::Program && !head.is_forwarded
}

/// A request without a credential passes from a local program only.
fn local_program(
    rules: AccessRules<'_>,
    need: Need,
    head: &RequestHead,
    user: User,
) -> Result<(Identity, Access), AccessRefusal> {
    let missing = |message: &str| Err(RefusalReason::Missing.refusal(message));
    let passes = match head.door {
        Door::Unix => true,
        Door::Remote => false,
        Door::Loopback => match rules.local {
            LocalPrograms::Token => false,
            LocalPrograms::Any => is_local_program(head),
            LocalPrograms::SameUser => is_local_program(head) && user == User::Same,
        },
    };
    if passes && need != Need::Bearer {
        return Ok((Identity::LocalProgram, Access::Admin));
    }
    match (&head.sender, user) {
        (Sender::Page(_), _) => missing("a page sends its session: open it with skein url"),
        (_, User::Other) if is_local_program(head) => {
            missing("another user's program sends a token: skein token create NAME")
        }
        _ => missing("send a token: skein token create NAME"),
    }
}

/// The refusal of a wrong credential.
fn wrong(reason: RefusalReason) -> AccessRefusal {
    if let RefusalReason::Signed(refusal) = reason {
        return reason.refusal(refusal.to_string());
    }
    if reason == RefusalReason::Unread {
        return AccessRefusal::unread();
    }
    let message = if reason == RefusalReason::Expired {
        "this credential has expired"
    } else if reason == RefusalReason::Revoked {
        "this credential was revoked"
    } else if reason == RefusalReason::Ticket {
        "a ticket is good at POST /auth/session only; it is not used up"
    } else if reason == RefusalReason::Malformed {
        "this is no credential of Skein"
    } else {
        "this credential is not known here"
    };
    reason.refusal(format!("{message}; a new one: skein token create NAME, or skein url for a page"))
}

/// The access of the bearer of a credential.
fn bearer(
    rules: AccessRules<'_>,
    head: &RequestHead,
    (grant, user): (Grant, User),
    origin: Option<&WebOrigin>,
) -> Result<(Identity, Access), AccessRefusal> {
    if grant.origin.is_some() && grant.origin.as_ref() != origin {
        return Err(RefusalReason::OtherOrigin.refusal("this credential is bound to another origin"));
    }
    // A token that is bound to the page behind a proxy is for other machines.
    let is_for_proxy = head.is_public && grant.kind == CredentialKind::Token && is_own_origin(head, &grant);
    if grant.same_user && !is_for_proxy {
        same_user(rules, head, user)?;
    }
    let access = grant.access;
    Ok((Identity::Bearer(grant), access))
}

fn is_own_origin(head: &RequestHead, grant: &Grant) -> bool {
    grant.origin.as_ref().is_some_and(|origin| is_own(head, origin))
}

/// A program can send any `Origin`, so that a page's credential is good from the user's own programs only.
fn same_user(rules: AccessRules<'_>, head: &RequestHead, user: User) -> Result<(), AccessRefusal> {
    let is_asked = head.socket == Door::Loopback && rules.local != LocalPrograms::Any;
    if is_asked && user != User::Same {
        return Err(
            RefusalReason::User.refusal("only the user who runs the server may send this credential here")
        );
    }
    Ok(())
}
