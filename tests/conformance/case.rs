//! The one list of delivery cases. Every backend runs it; what one cannot do, or does otherwise, is declared
//! ([`difference`](crate::difference)).

mod failure;
mod fault;
mod member;
mod order;
mod restart;

use test_support::TestResult;

use crate::stage::Stage;

/// What a runtime must do with records, on a stage.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// It hurts the broker, so the stage must be one that can be hurt.
    pub(crate) is_hurting: bool,
}

/// Makes the list, and what runs one of it: a function for any stage cannot be kept in a list for all stages.
macro_rules! cases {
    ($($file:ident { $($name:ident,)* })*) => {
        pub(crate) const CASES: &[Case] = &[$($(Case {
            name: stringify!($name),
            is_hurting: matches!(stringify!($file).as_bytes(), b"fault"),
        },)*)*];

        /// Runs a case on a stage.
        pub(crate) async fn play<S: Stage>(name: &str, stage: &mut S) -> TestResult {
            match name {
                $($(stringify!($name) => Box::pin($file::$name(stage)).await,)*)*
                _ => Err(format!("there is no case {name}").into()),
            }
        }
    };
}

cases! {
    order {
        a_record_is_handled_once_and_committed,
        records_of_one_key_are_handled_one_at_a_time_and_in_order,
        a_record_that_runs_holds_the_commit_back,
        records_without_a_key_do_not_wait_for_each_other,
        a_tombstone_is_no_empty_value,
    }
    failure {
        a_retry_blocks_only_its_key,
        a_transient_error_is_tried_again_until_it_succeeds,
        a_permanent_error_is_dead_lettered_byte_for_byte,
        a_header_without_value_survives_a_dead_letter,
        an_undecodable_record_is_dead_lettered_without_a_call,
        a_panic_is_the_failure_of_one_record,
        a_timeout_is_the_failure_of_one_record,
        policy_skip_goes_on,
        policy_stop_ends_the_run_and_commits_nothing_past_the_record,
        headers_that_claim_to_be_ours_do_not_steer,
        retry_topics_keep_the_order_of_a_parked_key,
        a_batch_takes_a_verdict_for_each_record,
    }
    restart {
        nothing_is_handled_twice_after_a_clean_stop,
        unfinished_work_is_handled_again_after_a_stop,
        after_a_policy_stop_the_next_run_begins_at_the_record,
    }
    member {
        a_second_member_takes_over_after_a_drain,
        a_partition_that_was_full_is_read_again_when_it_comes_back,
    }
    fault {
        a_commit_that_fails_is_repeated,
        a_member_that_was_expelled_begins_again_at_the_commit,
        fetches_that_fail_are_repeated,
        a_join_that_fails_is_repeated,
        offsets_that_cannot_be_fetched_are_asked_for_again,
        a_beginning_that_cannot_be_told_is_asked_for_again,
        a_dead_letter_that_fails_for_now_is_written_later,
        a_record_is_finished_only_when_its_dead_letter_is_acknowledged,
    }
}
