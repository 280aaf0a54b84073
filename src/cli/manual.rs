//! The manual page and the shells' completion, out of the same definition as `--help`.

use std::io::{self, Write};

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::failure::{EXIT_CODES, Failure};
use super::settings::definition;

/// What the manual shows, in the order in which it is to be run: what for, the command, what it
/// prints.
const EXAMPLES: [(&str, &str, &str); 6] = [
    ("Publish a message in JSON:", "babelmq pub /weather/oslo '{\"temp\": 21.5}'", ""),
    (
        "Read it in XML:",
        "babelmq get /weather/oslo --format xml",
        "<message type=\"dict\"><temp type=\"float\">21.5</temp></message>",
    ),
    (
        "Print what is published, the stored values first; here those alone:",
        "babelmq sub /weather --retained-only",
        "/weather/oslo {\"temp\": 21.5}",
    ),
    ("List the topics:", "babelmq topics --tree", "/weather\n└── oslo"),
    (
        "Translate without a broker:",
        "printf 'K\\005.' | babelmq convert --from pickle --to xml",
        "<message type=\"int\">5</message>",
    ),
    (
        "Test a configuration:",
        "babelmq serve --check --max-frame 1MiB",
        "the configuration is good",
    ),
];

/// Prints a shell's completion.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    // Into memory first: the generator panics where the output was closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "babelmq", &mut script);
    Ok(io::stdout().write_all(&script)?)
}

/// Prints the manual page: babelmq(1) with all commands.
pub(super) fn page() -> Result<(), Failure> {
    let mut definition = definition().after_help(None::<&str>).disable_help_subcommand(true);
    definition.build();
    let man = Man::new(definition.clone()).section("1").manual("User Commands");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for command in definition.get_subcommands() {
        describe(&mut roff, command, "babelmq");
    }
    roff.control("SH", ["FILES"]);
    roff.text([roman(
        "The configuration that serve --config names is TOML. Its keys are the options of serve \
         that can stand in the \
         environment, without their two hyphens, as in max-frame = \"1MiB\". A flag comes before \
         the environment, that \
         before the file, and that before the default; babelmq config prints what holds.",
    )]);
    roff.control("SH", ["SIGNALS"]);
    roff.text([roman(
        "SIGTERM and SIGINT end the broker when it has routed and written out what was accepted. \
         SIGHUP opens the log \
         anew and reads the configuration again.",
    )]);
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in [(0, "it was done")].into_iter().chain(EXIT_CODES) {
        roff.control("TP", []);
        roff.text([bold(code.to_string())]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["EXAMPLES"]);
    for (what, command, printed) in EXAMPLES {
        roff.control("PP", []);
        roff.text([roman(what)]);
        roff.control("PP", []);
        roff.control("nf", []);
        roff.text([roman(format!("$ {command}"))]);
        for line in printed.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    roff.to_writer(&mut out)?;
    Ok(io::stdout().write_all(&out)?)
}

/// A command with its options, and then those below it.
fn describe(roff: &mut Roff, command: &clap::Command, above: &str) {
    let name = format!("{above} {}", command.get_name());
    let about =
        |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
    roff.control("SS", [name.as_str()]);
    roff.text([roman(about(command.get_long_about().or(command.get_about())))]);
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help") {
        let value = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
        let takes_value = arg.get_action().takes_values();
        let option = match (arg.get_short(), arg.get_long()) {
            (Some(short), Some(long)) => format!("-{short}, --{long}"),
            (None, Some(long)) => format!("--{long}"),
            (Some(short), None) => format!("-{short}"),
            (None, None) => String::new(),
        };
        let value = if takes_value { value } else { String::new() };
        roff.control("TP", []);
        roff.text([
            bold(option.clone()),
            roman(if option.is_empty() { value } else { format!(" {value}") }),
        ]);
        let mut help = about(arg.get_long_help().or(arg.get_help()));
        let defaults: Vec<_> =
            arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if takes_value && !defaults.is_empty() && !arg.is_hide_default_value_set() {
            help += &format!(" [default: {}]", defaults.join(" "));
        }
        if let Some(variable) = arg.get_env() {
            help += &format!(" [environment: {}]", variable.to_string_lossy());
        }
        roff.text([roman(help)]);
    }
    for below in command.get_subcommands() {
        describe(roff, below, &name);
    }
}
