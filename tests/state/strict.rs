//! Which names have to be there, and which may not.

use wgnorm::Error;
use wgnorm::state::{self, Convention, NormState, StateFile};

use crate::{Handmade, batch_norm};

fn read(bytes: &[u8], lenient: bool) -> Result<NormState, Error> {
    let file = StateFile::parse(bytes)?;
    let section = file.at("bn.", Convention::PyTorch);
    if lenient {
        section.lenient().read()
    } else {
        section.read()
    }
}

fn assert_names<T: std::fmt::Debug>(
    result: Result<T, Error>,
    missing: &[&str],
    unexpected: &[&str],
) {
    let [missing, unexpected] =
        [missing, unexpected].map(|names| names.iter().map(ToString::to_string).collect());
    let expected = Error::StateNames {
        missing,
        unexpected,
    };
    assert_eq!(result.unwrap_err(), expected);
}

fn affine() -> Handmade {
    Handmade::default()
        .f32("bn.weight", &[1.5, -2.0])
        .f32("bn.bias", &[0.25, 3.0])
}

fn statistics(file: Handmade) -> Handmade {
    file.f32("bn.running_mean", &[-7.0, 8.0])
        .f32("bn.running_var", &[0.5, 9.0])
}

#[test]
fn an_unknown_name_under_the_prefix_is_named() {
    let file = statistics(affine()).count("bn.num_batches_tracked", 5);
    let file = file.f32("bn.extra", &[0.0]).f32("bn.sub.weight", &[0.0]);
    let file = file.f32("bn2.weight", &[0.0]).f32("other", &[0.0]).bytes();
    assert_names(read(&file, false), &[], &["bn.extra", "bn.sub.weight"]);
    assert_eq!(read(&file, true).unwrap(), batch_norm(Some(5)));
}

#[test]
fn files_before_pytorch_0_4_1_have_no_count() {
    let file = statistics(affine()).bytes();
    assert_names(read(&file, false), &["bn.num_batches_tracked"], &[]);
    assert_eq!(read(&file, true).unwrap(), batch_norm(None));
}

#[test]
fn a_mean_and_a_variance_go_together() {
    for (given, missing) in [
        ("bn.running_mean", "bn.running_var"),
        ("bn.running_var", "bn.running_mean"),
    ] {
        let file = affine().f32(given, &[1.0, 2.0]);
        let file = file.count("bn.num_batches_tracked", 0).bytes();
        for lenient in [false, true] {
            assert_names(read(&file, lenient), &[missing], &[]);
        }
    }
}

#[test]
fn a_count_without_statistics_counts_nothing() {
    let file = affine().count("bn.num_batches_tracked", 5).bytes();
    assert_names(read(&file, false), &[], &["bn.num_batches_tracked"]);
    assert_eq!(read(&file, true).unwrap().running, None);
}

#[test]
fn a_prefix_with_nothing_under_it_is_no_norm() {
    let all = [
        "bn.weight",
        "bn.bias",
        "bn.running_mean",
        "bn.running_var",
        "bn.num_batches_tracked",
    ];
    for file in [
        Handmade::default(),
        Handmade::default().f32("bn2.weight", &[1.0]),
        Handmade::default().f32("bnweight", &[1.0]),
        Handmade::default().count("bn.num_batches_tracked", 1),
    ] {
        for lenient in [false, true] {
            assert_names(read(&file.bytes(), lenient), &all, &[]);
        }
    }
}

#[test]
fn statistics_of_flax_are_looked_for_in_their_own_collection() {
    let file = Handmade::default()
        .f32("params.bn.scale", &[1.0])
        .f32("batch_stats.bn.var", &[1.0])
        .f32("batch_stats.bn.count", &[1.0])
        .f32("batch_stats.bn2.mean", &[1.0])
        .bytes();
    let file = StateFile::parse(&file).unwrap();
    let section = file.at("params.bn.", Convention::Flax);
    assert_names(
        section.read(),
        &["batch_stats.bn.mean"],
        &["batch_stats.bn.count"],
    );
    assert_names(section.lenient().read(), &["batch_stats.bn.mean"], &[]);
}

#[test]
fn what_cannot_be_a_file_is_not_written() {
    let mut short = batch_norm(None);
    short.beta = Some(vec![1.0]);
    let error = state::write(Convention::PyTorch, [("a.", &short)]).unwrap_err();
    let expected = "beta: shape [2] has 2 elements, but the data has 1";
    assert_eq!(error.to_string(), expected);
    let twice = [("a.", batch_norm(None)), ("a.", batch_norm(None))];
    let error = state::write(Convention::Keras, twice).unwrap_err();
    let expected = "not a state file: it would have a.gamma twice";
    assert_eq!(error.to_string(), expected);
}
