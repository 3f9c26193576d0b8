//! Tickets: each is redeemed once, in time, and by a browser that it is meant for.

use super::*;

#[tokio::test]
async fn a_ticket_becomes_one_session_of_its_page() {
    let rig = Rig::new().await;
    let ticket = rig.ticket();
    assert_eq!(rig.check(&ticket), Err(CredentialRefusal::Ticket), "it is good in another place only");
    let redeemed = rig.redeem(&ticket).ok().unwrap();
    assert!(matches!(end_of(rig.redeem(&ticket)), RedeemError::Used));
    assert_eq!(rig.check(&ticket), Err(CredentialRefusal::Unknown));
    let grant = rig.check(&redeemed.secret).unwrap();
    assert_eq!(grant, redeemed.grant);
    assert_eq!((grant.kind, grant.access, grant.same_user), (CredentialKind::Session, Access::Chat, true));
    assert_eq!(grant.origin.unwrap().as_str(), PAGE);
    assert!(matches!(end_of(rig.redeem(&redeemed.secret)), RedeemError::Unknown));
}

#[tokio::test]
async fn only_a_ticket_of_another_machine_is_good_for_other_users() {
    let rig = Rig::new().await;
    for (door, same_user) in [(Door::Unix, true), (Door::Loopback, true), (Door::Remote, false)] {
        let (ticket, _) =
            rig.credentials.create_ticket(Access::Read, door, None, policy::TICKET_LIFE).unwrap();
        assert_eq!(rig.redeem(&ticket).ok().unwrap().grant.same_user, same_user, "{door:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_user_redeems_only_a_ticket_for_other_machines() {
    let rig = Rig::new().await;
    for (door, is_theirs) in [(Door::Unix, false), (Door::Loopback, false), (Door::Remote, true)] {
        let (ticket, _) =
            rig.credentials.create_ticket(Access::Chat, door, None, policy::TICKET_LIFE).unwrap();
        let theirs = NewSession { is_other_user: true, ..page() };
        let redeemed = rig.credentials.redeem(ticket.expose(), theirs);
        if is_theirs {
            assert!(!redeemed.ok().unwrap().grant.same_user);
        } else {
            assert!(matches!(redeemed, Err(RedeemError::OtherUser)), "{door:?}");
            assert!(rig.redeem(&ticket).is_ok(), "their try has used nothing up");
        }
    }
}

#[tokio::test]
async fn of_two_at_once_exactly_one_redeems_a_ticket() {
    let rig = Rig::new().await;
    for _ in 0..200 {
        let (ticket, barrier) = (rig.ticket(), Barrier::new(4));
        let redeem = || {
            barrier.wait();
            rig.redeem(&ticket)
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(redeem)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let used = |outcome: &&Result<_, _>| matches!(outcome, Err(RedeemError::Used));
        assert_eq!(outcomes.iter().filter(used).count(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_expires_after_half_a_minute() {
    let rig = Rig::new().await;
    let (early, late) = (rig.ticket(), rig.ticket());
    advance(policy::TICKET_LIFE - Duration::from_millis(1)).await;
    assert!(rig.redeem(&early).is_ok());
    advance(Duration::from_millis(1)).await;
    assert!(matches!(end_of(rig.redeem(&late)), RedeemError::Expired));
    assert_eq!(rig.check(&late), Err(CredentialRefusal::Unknown));
}

#[tokio::test(start_paused = true)]
async fn open_tickets_are_bounded_and_an_older_one_is_not_given_up() {
    let rig = Rig::new().await;
    let first = rig.ticket();
    for _ in 1..policy::OPEN_TICKETS {
        rig.ticket();
    }
    let refused =
        rig.credentials.create_ticket(Access::Chat, Door::Unix, None, policy::TICKET_LIFE).err().unwrap();
    assert_eq!(refused.to_string(), "64 tickets are open, and end within 5 min at the latest");
    assert!(rig.redeem(&first).is_ok());
    rig.ticket();
    advance(policy::TICKET_LIFE).await;
    for _ in 0..policy::OPEN_TICKETS {
        rig.ticket();
    }
}
