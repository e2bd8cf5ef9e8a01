//! Benches of single steps, without a process or a network around them.
//!
//! They are one program, since every program is optimised as a whole and takes a minute to build.

mod manifests;
mod plan;

criterion::criterion_group!(benches, plan::plan, manifests::manifests);
criterion::criterion_main!(benches);
