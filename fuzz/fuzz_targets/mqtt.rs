#![no_main]

libfuzzer_sys::fuzz_target!(init: meter::report_overflows(), |input: &[u8]| babelmq_fuzz::run(babelmq_fuzz::mqtt, input));
