//! Nothing: this package only holds the benchmarks of the core, apart from the crates that they measure.
