//! Reads every worst case of the lengths in the arguments, for an instruction counter.
//!
//! Prints one line for each case: its length, its reader and its shape.

mod inputs;

fn main() {
    for len in std::env::args().skip(1) {
        for case in inputs::cases(len.parse().expect("a length")) {
            // Work that happens once per process is not part of the case.
            (case.read)();
            counted_read(&case);
            println!("{}\t{}, {}", case.len, case.reader, case.shape);
        }
    }
}

/// The counter looks for the name of this function.
#[inline(never)]
fn counted_read(case: &inputs::Case) {
    (case.read)();
}
