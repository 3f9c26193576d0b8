//! Pairings: a ticket of some minutes, in a code that anybody near the screen can read. So its page waits until a person at
//! the terminal lets it in, and only the page that was named there gets the session.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use skein_base::clock::Clock;
use skein_config::access::{Digest, Secret, SentSecret};
use skein_config::policy::PAIRING_LIFE;
use tokio::time::Instant;
use uuid::Uuid;

use super::access::{AccessRefusal, RefusalReason};

/// A page that waits, as the person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PairingDevice {
    /// The browser and its machine.
    pub(super) name: String,
    /// Its address; `None` for a program of this machine.
    pub(super) address: Option<IpAddr>,
}

/// The state of a pairing, as the terminal sees it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub(super) enum PairingView {
    /// No page has come.
    Open,
    /// This page waits.
    Asked {
        /// The page.
        device: PairingDevice,
    },
    /// It was decided, or its time is over.
    Ended,
}

/// The pairings of a server.
#[derive(Debug, Default)]
pub(super) struct Pairings(Mutex<Vec<Pairing>>);

#[derive(Debug)]
struct Pairing {
    id: Uuid,
    ticket: Digest,
    until: Instant,
    claim: Option<PairingClaim>,
}

/// The first page that has come with the ticket.
#[derive(Debug)]
struct PairingClaim {
    secret: Digest,
    device: PairingDevice,
    decision: Option<bool>,
}

impl Pairings {
    fn current(&self, now: Instant) -> MutexGuard<'_, Vec<Pairing>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|pairing| pairing.until > now);
        all
    }

    /// Begins a pairing by this ticket.
    pub(super) fn open(&self, ticket: Digest, clock: &Clock) -> Uuid {
        let (id, now) = (clock.new_id(), clock.now());
        self.current(now).push(Pairing { id, ticket, until: now + PAIRING_LIFE, claim: None });
        id
    }

    /// A page comes with a ticket, and with the secret of its wait if it has come before. Returns that secret while the page has to
    /// wait; `None` if it may redeem the ticket.
    ///
    /// # Errors
    /// The person has refused it, or another page has come first.
    pub(super) fn meet(
        &self,
        ticket: &str,
        claim: Option<&str>,
        device: PairingDevice,
        now: Instant,
    ) -> Result<Option<SentSecret>, AccessRefusal> {
        let mut all = self.current(now);
        let ticket = Digest::of(ticket);
        let Some(pairing) = all.iter_mut().find(|pairing| pairing.ticket == ticket) else { return Ok(None) };
        match &pairing.claim {
            None => {
                let failed = |error: std::io::Error| RefusalReason::Busy.refusal(error.to_string());
                let secret = Secret::generate().map_err(failed)?;
                pairing.claim = Some(PairingClaim { secret: secret.digest(), device, decision: None });
                Ok(Some(SentSecret::new(secret.expose())))
            }
            Some(known) if claim.is_none_or(|claim| Digest::of(claim) != known.secret) => {
                Err(RefusalReason::Used
                    .refusal("another page has come with this ticket: skein pair makes a new one"))
            }
            Some(PairingClaim { decision: None, .. }) => Ok(claim.map(SentSecret::new)),
            Some(PairingClaim { decision: Some(true), .. }) => Ok(None),
            Some(PairingClaim { decision: Some(false), .. }) => {
                Err(RefusalReason::Used.refusal("the person at the terminal has refused this page"))
            }
        }
    }

    /// The state of a pairing.
    pub(super) fn look(&self, id: Uuid, now: Instant) -> PairingView {
        let all = self.current(now);
        match all.iter().find(|pairing| pairing.id == id).map(|pairing| &pairing.claim) {
            Some(None) => PairingView::Open,
            Some(Some(PairingClaim { device, decision: None, .. })) => {
                PairingView::Asked { device: device.clone() }
            }
            Some(Some(_)) | None => PairingView::Ended,
        }
    }

    /// Decides about the page that waits; a pairing without a page can only be refused, and ends. Returns the pairing's ticket;
    /// `None` if there is nothing to decide.
    pub(super) fn decide(&self, id: Uuid, accept: bool, now: Instant) -> Option<Digest> {
        let mut all = self.current(now);
        let at = all.iter().position(|pairing| pairing.id == id)?;
        let pairing = all.get_mut(at)?;
        if pairing.claim.is_none() && !accept {
            return Some(all.swap_remove(at).ticket);
        }
        let claim = pairing.claim.as_mut().filter(|claim| claim.decision.is_none())?;
        claim.decision = Some(accept);
        Some(pairing.ticket)
    }
}

/// The browser and the machine that a `User-Agent` names, such as "Safari on iPhone". The order counts: most browsers also name
/// those that they want to be taken for.
pub(super) fn device(agent: &str) -> String {
    const BROWSERS: [(&str, &str); 8] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("FxiOS/", "Firefox"),
        ("Firefox/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const MACHINES: [(&str, &str); 7] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("CrOS", "ChromeOS"),
        ("Windows", "Windows"),
        ("Macintosh", "Mac"),
        ("Linux", "Linux"),
    ];
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name)
    };
    match (named(&BROWSERS), named(&MACHINES)) {
        (Some(browser), Some(machine)) => format!("{browser} on {machine}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => "an unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone() -> PairingDevice {
        PairingDevice { name: "Safari on iPhone".to_owned(), address: Some([192, 168, 1, 20].into()) }
    }

    fn meet(pairings: &Pairings, claim: Option<&str>) -> Result<Option<String>, String> {
        let met = pairings.meet("ticket", claim, phone(), Clock.now());
        met.map(|claim| claim.map(|claim| claim.expose().to_owned())).map_err(|refusal| refusal.message)
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_page_that_was_named_is_let_in() {
        let pairings = Pairings::default();
        assert_eq!(meet(&pairings, None), Ok(None), "a ticket without a pairing");
        let id = pairings.open(Digest::of("ticket"), &Clock);
        assert_eq!(pairings.look(id, Clock.now()), PairingView::Open);
        let claim = meet(&pairings, None).unwrap().unwrap();
        assert_eq!(pairings.look(id, Clock.now()), PairingView::Asked { device: phone() });
        for other in [None, Some("x")] {
            assert!(meet(&pairings, other).unwrap_err().contains("another page"));
        }
        assert_eq!(meet(&pairings, Some(&claim)), Ok(Some(claim.clone())), "it still waits");
        assert_eq!(pairings.decide(id, true, Clock.now()), Some(Digest::of("ticket")));
        assert_eq!(pairings.decide(id, false, Clock.now()), None, "decided once");
        assert_eq!(pairings.look(id, Clock.now()), PairingView::Ended);
        assert!(meet(&pairings, None).is_err());
        assert_eq!(meet(&pairings, Some(&claim)), Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_page_stays_out_and_an_old_pairing_is_forgotten() {
        let pairings = Pairings::default();
        let id = pairings.open(Digest::of("ticket"), &Clock);
        assert_eq!(pairings.decide(id, true, Clock.now()), None, "nobody has come");
        let withdrawn = pairings.open(Digest::of("other"), &Clock);
        assert_eq!(pairings.decide(withdrawn, false, Clock.now()), Some(Digest::of("other")));
        assert_eq!(pairings.look(withdrawn, Clock.now()), PairingView::Ended);
        let claim = meet(&pairings, None).unwrap().unwrap();
        assert!(pairings.decide(id, false, Clock.now()).is_some());
        assert!(meet(&pairings, Some(&claim)).unwrap_err().contains("refused"));
        tokio::time::advance(PAIRING_LIFE).await;
        assert_eq!(pairings.look(id, Clock.now()), PairingView::Ended);
        assert!(pairings.0.lock().unwrap().is_empty());
    }

    #[test]
    fn browsers_are_named_as_people_name_them() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            ("curl/8.0", "an unknown browser"),
            ("", "an unknown browser"),
        ] {
            assert_eq!(device(agent), name, "{agent}");
        }
    }
}
