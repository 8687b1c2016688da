use super::*;

fn call(invoked: u64, returned: u64, outcome: Outcome) -> Call {
    Call {
        key: [0; 32],
        node: 0,
        invoked,
        returned,
        outcome,
    }
}

fn unknown() -> Outcome {
    Outcome::Unknown("no answer".to_owned())
}

/// Tries every order and every choice of which calls without an answer took effect.
fn linearizable_by_search(calls: &[Call]) -> bool {
    // Whether the rest can follow, given what took effect so far.
    fn rest(calls: &[Call], done: u32, is_recorded: bool) -> bool {
        let open = |i: usize| done & (1 << i) == 0;
        // A call without an answer may never take effect.
        let is_pending = |call: &Call| matches!(call.outcome, Outcome::Unknown(_));
        if (0..calls.len()).all(|i| !open(i) || is_pending(&calls[i])) {
            return true;
        }
        (0..calls.len()).filter(|i| open(*i)).any(|i| {
            // It cannot take effect after the end of another that has not.
            let too_late = (0..calls.len()).any(|j| {
                j != i && open(j) && !is_pending(&calls[j]) && calls[j].returned < calls[i].invoked
            });
            let fits = match calls[i].outcome {
                Outcome::Fresh => !is_recorded,
                Outcome::Replayed => is_recorded,
                Outcome::Unknown(_) => true,
            };
            !too_late && fits && rest(calls, done | (1 << i), true)
        })
    }
    rest(calls, 0, false)
}

type Check<'a> = dyn FnMut(&[(u64, u64)]) + 'a;

/// Calls `check` with every order in which `calls` calls can begin and end, as pairs of instants.
fn each_order(calls: usize, check: &mut Check<'_>) {
    fn go(calls: usize, spans: &mut Vec<(u64, Option<u64>)>, instant: u64, check: &mut Check<'_>) {
        if spans.len() == calls && spans.iter().all(|(_, end)| end.is_some()) {
            let spans: Vec<(u64, u64)> = spans.iter().map(|(a, b)| (*a, b.unwrap())).collect();
            return check(&spans);
        }
        if spans.len() < calls {
            spans.push((instant, None));
            go(calls, spans, instant + 1, check);
            spans.pop();
        }
        for i in 0..spans.len() {
            if spans[i].1.is_none() {
                spans[i].1 = Some(instant);
                go(calls, spans, instant + 1, check);
                spans[i].1 = None;
            }
        }
    }
    go(calls, &mut Vec::new(), 0, check);
}

#[test]
fn the_checker_agrees_with_a_search_of_all_orders() {
    let outcomes = [Outcome::Fresh, Outcome::Replayed, unknown()];
    let (mut good, mut bad) = (0, 0);
    for count in 1..=4_usize {
        each_order(count, &mut |spans| {
            for choice in 0..3_usize.pow(u32::try_from(count).unwrap()) {
                let mut choice = choice;
                let calls: Vec<Call> = spans
                    .iter()
                    .map(|(invoked, returned)| {
                        let outcome = outcomes[choice % 3].clone();
                        choice /= 3;
                        call(*invoked, *returned, outcome)
                    })
                    .collect();
                let expected = linearizable_by_search(&calls);
                assert_eq!(linearizable(&calls).is_ok(), expected, "{calls:#?}");
                if expected {
                    good += 1;
                } else {
                    bad += 1;
                }
            }
        });
    }
    // 3 + 9 * 3 + 27 * 15 + 81 * 105 histories.
    assert_eq!(good + bad, 8_940);
    assert!(good > 1_000 && bad > 1_000, "{good} and {bad}");
}

#[test]
fn wrong_histories_are_named() {
    use Outcome::{Fresh, Replayed};
    for (calls, fault) in [
        // One after the other, and at the same time.
        (
            vec![call(0, 1, Fresh), call(2, 3, Fresh)],
            Fault::FreshTwice,
        ),
        (
            vec![call(0, 3, Fresh), call(1, 2, Fresh)],
            Fault::FreshTwice,
        ),
        (vec![call(0, 1, Replayed)], Fault::ReplayedUnused),
        (
            vec![call(0, 1, Replayed), call(2, 3, Fresh)],
            Fault::ReplayedUnused,
        ),
        // What has not begun cannot have recorded it, and what recorded it first did not find it.
        (
            vec![call(0, 1, Replayed), call(2, 3, unknown())],
            Fault::ReplayedUnused,
        ),
        (
            vec![
                call(0, 1, unknown()),
                call(2, 3, Replayed),
                call(4, 5, Fresh),
            ],
            Fault::ReplayedUnused,
        ),
    ] {
        assert_eq!(linearizable(&calls), Err(fault), "{calls:?}");
    }
}

#[test]
fn a_call_without_an_answer_may_take_effect_late_or_never() {
    use Outcome::{Fresh, Replayed};
    for calls in [
        vec![call(0, 1, unknown()), call(2, 3, Fresh)],
        vec![call(0, 1, unknown()), call(2, 3, Replayed)],
        vec![
            call(0, 1, unknown()),
            call(2, 3, Fresh),
            call(4, 5, Replayed),
        ],
        vec![call(0, 3, Fresh), call(1, 2, Replayed)],
        vec![call(0, 1, unknown()), call(2, 3, unknown())],
        vec![],
    ] {
        assert_eq!(linearizable(&calls), Ok(()), "{calls:?}");
    }
}

#[test]
fn a_store_in_trouble_may_reject_unused_proofs_but_admits_none_twice() {
    use Outcome::{Fresh, Replayed};
    let calls = [call(0, 1, Replayed), call(2, 3, Fresh)];
    assert_eq!(fresh_once(&calls), Ok(()));
    let calls = [call(0, 1, Fresh), call(2, 3, unknown()), call(4, 5, Fresh)];
    assert_eq!(fresh_once(&calls), Err(Fault::FreshTwice));
}

#[test]
fn a_history_orders_beginnings_and_ends() {
    use crate::crypto::pure_rust::PureRust;
    let history = History::default();
    let keys = ["a", "b"].map(|jti| ReplayKey::new([1; 32], jti, &PureRust));
    let (first, second) = (history.instant(), history.instant());
    history.record(&keys[1], 1, second, Outcome::Replayed);
    history.record(&keys[1], 0, first, Outcome::Fresh);
    let third = history.instant();
    history.record(&keys[0], 2, third, unknown());
    let spans = |calls: Vec<Call>| -> Vec<(u64, u64)> {
        calls
            .iter()
            .map(|call| (call.invoked, call.returned))
            .collect()
    };
    assert_eq!(spans(history.of(&keys[1])), [(0, 3), (1, 2)]);
    assert_eq!(spans(history.of(&keys[0])), [(4, 5)]);
    assert_eq!(history.by_key().len(), 2);
    let text: Vec<String> = history.of(&keys[1]).iter().map(Call::to_string).collect();
    assert_eq!(
        text,
        [
            "node 0, from 0 to 3: Fresh",
            "node 1, from 1 to 2: Replayed"
        ]
    );
}
