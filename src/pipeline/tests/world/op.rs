//! What may happen to the world of [`super`], drawn by proptest.

use proptest::prelude::*;

use super::PARTITIONS;
use crate::pipeline::CommitError;
use crate::pipeline::credentials::CredentialNews;

/// What is done to the pipeline next; numbers pick one of what there is.
#[derive(Clone, Debug)]
pub(in crate::pipeline::tests) enum Op {
    Assign(usize),
    Revoke(usize),
    Lose(usize),
    Poll(usize, Vec<Vec<(u8, u8)>>),
    End(usize),
    Answer(usize, u8),
    Letter(usize, bool),
    LetterTooLarge(usize),
    Stand(usize, u8),
    List(u8),
    Commit(Result<(), CommitError>),
    Wait(u16),
    Credentials(CredentialNews),
    Drain,
}

pub(in crate::pipeline::tests) fn op() -> impl Strategy<Value = Op> {
    let changes = prop::collection::vec(prop::collection::vec((0..3_u8, 0..12_u8), 0..4), 1..6);
    let commit =
        prop_oneof![3 => Just(Ok(())), 1 => Just(Err(CommitError::Failed)), 1 => Just(Err(CommitError::Fenced))];
    prop_oneof![
        3 => (0..PARTITIONS).prop_map(Op::Assign),
        1 => (0..PARTITIONS).prop_map(Op::Revoke),
        1 => (0..PARTITIONS).prop_map(Op::Lose),
        12 => (0..PARTITIONS, changes).prop_map(|(p, changes)| Op::Poll(p, changes)),
        1 => (0..PARTITIONS).prop_map(Op::End),
        16 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Op::Answer(which, how)),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, ok)| Op::Letter(which, ok)),
        2 => any::<usize>().prop_map(Op::LetterTooLarge),
        3 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Op::Stand(which, how)),
        4 => any::<u8>().prop_map(Op::List),
        4 => commit.prop_map(Op::Commit),
        8 => (0..2_000_u16).prop_map(Op::Wait),
        1 => prop_oneof![2 => Just(CredentialNews::Offered), 1 => Just(CredentialNews::Awaited), 1 => Just(CredentialNews::Missing("".into()))].prop_map(Op::Credentials),
        1 => Just(Op::Drain),
    ]
}
