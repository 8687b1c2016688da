//! The cost of the worst input, in allocations and instructions. Both are the same on every machine,
//! however busy it is. Times are not measured.

#[path = "../../worst_case/inputs.rs"]
mod inputs;

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::Command,
};

use inputs::{TOO_LONG, cases};

/// Close to the 16 KiB that a proof or a token may have.
const LARGEST: usize = 15_000;

/// The maximum number of instructions per byte in a build without optimisation, in which every step of
/// an iterator is a call. URIs are read byte by byte a few times.
fn max_instructions(reader: &str) -> f64 {
    match reader {
        "htu" => 2_000.0,
        _ => 1_400.0,
    }
}

/// How often a reader may allocate, and how much: in total, and per byte of input.
struct Bound {
    allocations: [f64; 2],
    bytes: [f64; 2],
}

fn bound(reader: &str, shape: &str) -> Bound {
    let (allocations, bytes) = match (reader, shape) {
        // The rejection, its challenge and the metrics, whatever the length.
        ("authorization", _) => ([20.0, 0.0], [2048.0, 0.0]),
        (_, TOO_LONG) => ([2.0, 0.0], [64.0, 0.0]),
        ("nonce", _) => ([0.0, 0.0], [0.0, 0.0]),
        ("htu" | "target" | "host header" | "htu difference", _) => ([1.0, 0.0], [32.0, 1.0]),
        ("proof", _) => ([8.0, 0.0], [128.0, 1.0]),
        // A value takes 32 bytes where its text has two, and a growing list is copied.
        ("proof header" | "proof payload", _) => ([64.0, 0.5], [4096.0, 50.0]),
        ("jwk", _) => ([16.0, 0.5], [1024.0, 64.0]),
        ("jwk set" | "token header", _) => ([128.0, 0.5], [48_000.0, 64.0]),
        // Claims become a map for the handlers.
        ("token payload", _) => ([128.0, 0.75], [48_000.0, 80.0]),
        _ => panic!("no bound for {reader}"),
    };
    Bound { allocations, bytes }
}

#[test]
fn no_input_has_more_memory_allocated_than_a_small_multiple_of_its_length() {
    for case in cases(LARGEST) {
        // What is allocated once per process is not part of the case.
        (case.read)();
        let info = allocation_counter::measure(|| (case.read)());
        let bound = bound(case.reader, case.shape);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let within = |found: u64, [any, per_byte]: [f64; 2]| {
            found as f64 <= per_byte.mul_add(case.len as f64, any)
        };
        let is_bounded =
            within(info.count_total, bound.allocations) && within(info.bytes_total, bound.bytes);
        assert!(
            is_bounded,
            "{}, {}: {} bytes took {} allocations of {} bytes",
            case.reader, case.shape, case.len, info.count_total, info.bytes_total
        );
    }
}

#[test]
fn work_grows_with_the_length_of_the_input_and_no_faster() {
    let Some(counts) = instructions([LARGEST / 2, LARGEST]) else {
        // Not `eprintln`, whose output is hidden if the test passes.
        let note = "SKIPPED: no instructions are counted, please install valgrind";
        writeln!(io::stderr(), "{note}").unwrap();
        return;
    };
    let (half, whole) = counts.split_at(counts.len() / 2);
    assert!(whole.len() > 80, "{} cases were counted", whole.len());
    for (half, whole) in half.iter().zip(whole) {
        assert_eq!(half.name, whole.name);
        // About twice the length may take twice the instructions and a quarter more, or so few that they
        // are those of the call itself.
        let longer = whole.len / half.len;
        let growth = whole.instructions / (half.instructions + 10_000.0);
        assert!(growth < 1.25 * longer, "{half:?} {whole:?}");
        let per_byte = whole.instructions / whole.len;
        let (reader, _) = whole.name.split_once(", ").unwrap();
        assert!(per_byte < max_instructions(reader), "{whole:?}: {per_byte}");
    }
}

#[derive(Debug)]
struct Count {
    name: String,
    len: f64,
    instructions: f64,
}

/// Counts the instructions of each case with valgrind. Returns `None` if valgrind is not installed.
fn instructions(lens: [usize; 2]) -> Option<Vec<Count>> {
    const COUNTED: &str = "worst_case::counted_read";
    Command::new("valgrind").arg("--version").output().ok()?;

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("worst-case");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        // One file per case: count.1, count.2, ...
        .arg(format!("--dump-after={COUNTED}"))
        .arg("--callgrind-out-file=count")
        .arg(env!("CARGO_BIN_EXE_worst-case"))
        .args(lens.map(|len| len.to_string()))
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");

    let cases = String::from_utf8(output.stdout).unwrap();
    let counts = cases.lines().zip(1..).map(|(case, number)| {
        let (len, name) = case.split_once('\t').unwrap();
        let file = fs::read_to_string(folder.join(format!("count.{number}"))).unwrap();
        let summary = file.lines().find_map(|line| line.strip_prefix("summary: "));
        Count {
            name: name.to_owned(),
            len: len.parse().unwrap(),
            instructions: summary.unwrap().parse().unwrap(),
        }
    });
    Some(counts.collect())
}
