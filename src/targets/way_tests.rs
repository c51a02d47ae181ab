use super::*;
use tokio::net::{TcpListener, TcpSocket};

#[tokio::test]
async fn every_address_is_told_by_what_came_of_it_and_the_one_that_works_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap();
    let held = TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = held.local_addr().unwrap();
    let (connections, connected) = connect(vec![closed, open], STEP_LIMIT).await;
    let outcomes: Vec<_> = connections.iter().map(|one| (one.address.clone(), one.outcome)).collect();
    assert_eq!(
        outcomes,
        [(closed.to_string(), ConnectionOutcome::Refused), (open.to_string(), ConnectionOutcome::Connected)]
    );
    assert_eq!(connected.map(|(address, _)| address), Some(open));
    let (_, connected) = connect(vec![closed], STEP_LIMIT).await;
    assert!(connected.is_none());
}

#[test]
fn what_the_system_says_of_a_connection_is_told_apart() {
    use io::ErrorKind as Kind;
    for (kind, expected) in [
        (Kind::ConnectionRefused, ConnectionOutcome::Refused),
        (Kind::TimedOut, ConnectionOutcome::TimedOut),
        (Kind::NetworkUnreachable, ConnectionOutcome::Unreachable),
        (Kind::HostUnreachable, ConnectionOutcome::Unreachable),
        (Kind::AddrNotAvailable, ConnectionOutcome::Unreachable),
        (Kind::PermissionDenied, ConnectionOutcome::Failed),
    ] {
        assert_eq!(outcome(&io::Error::from(kind)), expected, "{kind}");
    }
    let all = |outcome| [ConnectionReport { address: "10.0.0.5:443".to_owned(), outcome, ms: 0 }];
    assert!(advice(&all(ConnectionOutcome::Refused)).contains("nothing listens"));
    assert!(advice(&all(ConnectionOutcome::TimedOut)).contains("firewall"));
    assert!(advice(&all(ConnectionOutcome::Unreachable)).contains("network of this machine"));
}

#[test]
fn a_certificate_is_told_with_the_days_it_has_left() {
    let facts = |not_after: i64| CertificateFacts {
        names: vec!["gate.example".to_owned(), "10.0.0.5".to_owned()],
        issuer: "R3 (Let's Encrypt)".to_owned(),
        not_after: Some(UnixMs(not_after * DAY_MS)),
        ..CertificateFacts::default()
    };
    let told = |days: i64| described(&facts(20_000 + days), UnixMs(20_000 * DAY_MS));
    assert_eq!(
        told(33),
        "made out to gate.example, 10.0.0.5, by R3 (Let's Encrypt), valid until 2024-11-06 (33 days left)"
    );
    assert!(told(3).ends_with("(3 days left, renew it soon)"), "{}", told(3));
    assert!(told(-3).ends_with("(over for 3 days)"), "{}", told(-3));
    let hours_ago = described(&facts(20_000), UnixMs(20_000 * DAY_MS + 7_200_000));
    assert!(hours_ago.ends_with("(over for 0 days)"), "{hours_ago}");
    let own = CertificateFacts { is_own: true, ..CertificateFacts::default() };
    assert_eq!(described(&own, UnixMs(0)), "made out to nobody, by itself");
}
