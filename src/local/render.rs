//! Reports and changes as text for a terminal. Pure; styled throughout, and stripped where no terminal reads it.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use similar::TextDiff;

use crate::adapters::directory::Change;
use crate::model::{ImageReport, Problem, Reason, Report, Severity, State};

use super::Round;

/// Of a headline.
pub const BOLD: Style = Style::new().bold();
/// Of what matters less.
pub const FAINT: Style = Style::new().dimmed();
/// Of what is as wished.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Of what waits.
pub const WAITING: Style = AnsiColor::Yellow.on_default();
/// Of what is wrong.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Of places.
pub const PLACE: Style = AnsiColor::Cyan.on_default();

/// `text` in a style.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Everything that a look came to: reports, problems, changes.
pub fn render_round(round: &Round) -> String {
    let Round { reports, problems, notes, changes } = round;
    let mut parts: Vec<String> = reports.iter().map(render_report).collect();
    if reports.is_empty() {
        parts.push("No policy was found.\n".to_owned());
    }
    parts.extend((!problems.is_empty()).then(|| render_problems("Not read", problems)));
    parts.extend((!notes.is_empty()).then(|| render_problems("Left out", notes)));
    parts.extend(changes.iter().map(render_change));
    parts.join("\n")
}

/// The report of one policy: a headline, a line an image, and the problems.
pub fn render_report(report: &Report) -> String {
    let applications = counted(report.applications, "Application");
    let mut text = format!(
        "{}  {}\n",
        styled(BOLD, &report.policy.to_string()),
        styled(FAINT, &format!("{applications}, {}", counted(report.images.len(), "image")))
    );
    text.push_str(&render_images(&report.images));
    report.problems.iter().for_each(|problem| text.push_str(&render_problem(problem)));
    text
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A line an image, in columns.
fn render_images(images: &[ImageReport]) -> String {
    let rows: Vec<[String; 4]> = images
        .iter()
        .map(|image| [image.application.name.clone(), image.image.clone(), versions(image), image.reason.to_string()])
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for (image, [application, name, versions, reason]) in images.iter().zip(&rows) {
        let padded = |text: &str, column: usize| format!("{text:width$}", width = widths[column]);
        let line = format!(
            "  {}  {}  {}  {}{}  {}",
            padded(application, 0),
            padded(name, 1),
            padded(versions, 2),
            styled(style_of(image), reason),
            &padded(reason, 3)[reason.len()..],
            image.message
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What an image holds, and what that is about to become or is not.
fn versions(image: &ImageReport) -> String {
    let current = image.current.as_deref().unwrap_or("–");
    match (&image.previous, &image.chosen) {
        (Some(previous), _) if previous != current => format!("{previous} → {current}"),
        (None, _) if image.reason == Reason::Updated => format!("– → {current}"),
        (_, Some(chosen)) if chosen != current => format!("{current} (not {chosen})"),
        _ => current.to_owned(),
    }
}

fn style_of(image: &ImageReport) -> Style {
    match image.state() {
        State::Updated => GOOD.bold(),
        State::UpToDate => GOOD,
        State::Pending => WAITING,
        State::Failed => BAD,
    }
}

fn render_problems(title: &str, problems: &[Problem]) -> String {
    let lines: String = problems.iter().map(render_problem).collect();
    format!("{}\n{lines}", styled(BOLD, title))
}

/// Place, sentence, word, and on a line of its own the hint.
fn render_problem(problem: &Problem) -> String {
    let Problem { reason, message, place, hint } = problem;
    let style = match reason.severity() {
        Severity::Fine => FAINT,
        Severity::Waiting => WAITING,
        Severity::Failing | Severity::Stalled => BAD,
    };
    let place = place.as_ref().map(|place| format!("{}: ", styled(PLACE, place))).unwrap_or_default();
    let mut text = format!("  {place}{message}  {}\n", styled(style, reason.as_str()));
    if let Some(hint) = hint {
        writeln!(text, "    {}", styled(FAINT, hint)).expect("writing into a string never fails");
    }
    text
}

/// The unified diff of a file.
pub fn render_change(change: &Change) -> String {
    let Change { file, before, after } = change;
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    let diff = diff.unified_diff().context_radius(3).header(&format!("a/{file}"), &format!("b/{file}")).to_string();
    let mut text = String::new();
    for line in diff.lines() {
        let style = match line.as_bytes() {
            [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => BOLD,
            [b'-', ..] => BAD,
            [b'+', ..] => GOOD,
            [b'@', ..] => PLACE,
            _ => Style::new(),
        };
        writeln!(text, "{}", styled(style, line)).expect("writing into a string never fails");
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{ApplicationId, PolicyId};

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn image(application: &str, reason: Reason, message: &str) -> ImageReport {
        ImageReport {
            current: Some("1.0.0".to_owned()),
            chosen: Some("1.0.0".to_owned()),
            reason,
            message: message.to_owned(),
            ..ImageReport::new(ApplicationId::new("argocd", application), "flask", "ghcr.io/org/flask")
        }
    }

    fn report(images: Vec<ImageReport>, problems: Vec<Problem>) -> Report {
        Report {
            policy: PolicyId::new("argocd", "web"),
            generation: 1,
            checked_at: Timestamp::UNIX_EPOCH,
            next_check: Timestamp::UNIX_EPOCH,
            problems,
            applications: images.len(),
            images,
            memory: crate::model::Memory::default(),
        }
    }

    #[test]
    fn a_report_has_a_line_an_image_and_its_problems() {
        let updated = ImageReport {
            current: Some("1.0.4".to_owned()),
            previous: Some("1.0.0".to_owned()),
            chosen: Some("1.0.4".to_owned()),
            ..image("flask-app", Reason::Updated, "newest build within `~1.0`")
        };
        let held = ImageReport { chosen: Some("1.0.5".to_owned()), ..image("web", Reason::TooYoung, "seen 2 h ago") };
        let failed =
            ImageReport { current: None, chosen: None, ..image("x", Reason::RegistryUnreachable, "no answer") };
        let fine = image("other-app", Reason::UpToDate, "");
        let problem = Problem::new(Reason::InvalidConstraint, "`~x` is not a constraint");
        let problem = problem.at("policy.yaml:7 spec.images[1].constraint").hint("write for example `~1.0`");
        let report = report(vec![updated, held, failed, fine], vec![problem]);
        insta::assert_snapshot!(plain(&render_report(&report)), @r#"
        argocd/web  4 Applications, 4 images
          flask-app  flask  1.0.0 → 1.0.4      Updated              newest build within `~1.0`
          web        flask  1.0.0 (not 1.0.5)  TooYoung             seen 2 h ago
          x          flask  –                  RegistryUnreachable  no answer
          other-app  flask  1.0.0              UpToDate
          policy.yaml:7 spec.images[1].constraint: `~x` is not a constraint  InvalidConstraint
            write for example `~1.0`
        "#);
        assert!(render_report(&report).contains("\u{1b}[1m\u{1b}[32mUpdated"), "colours are there for a terminal");
    }

    #[test]
    fn a_round_shows_everything_once() {
        let change = Change {
            file: "apps/web.yaml".to_owned(),
            before: "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\ntag: 1.0.0 # here\nf: 6".to_owned(),
            after: "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\ntag: 1.0.4 # here\nf: 6".to_owned(),
        };
        let round = Round {
            reports: vec![report(vec![image("web", Reason::UpToDate, "")], vec![])],
            problems: vec![Problem::new(Reason::UnreadableObject, "unclosed bracket '['").at("b.yaml:3")],
            notes: vec![Problem::new(Reason::SourceUnavailable, "is longer than 4 MiB and is not read").at("c.yaml")],
            changes: vec![change],
        };
        insta::assert_snapshot!(plain(&render_round(&round)), @r#"
        argocd/web  1 Application, 1 image
          web  flask  1.0.0  UpToDate

        Not read
          b.yaml:3: unclosed bracket '['  UnreadableObject

        Left out
          c.yaml: is longer than 4 MiB and is not read  SourceUnavailable

        --- a/apps/web.yaml
        +++ b/apps/web.yaml
        @@ -3,5 +3,5 @@
         c: 3
         d: 4
         e: 5
        -tag: 1.0.0 # here
        +tag: 1.0.4 # here
         f: 6
        \ No newline at end of file
        "#);
        assert!(round.failed());
        let nothing = Round { reports: vec![], problems: vec![], notes: vec![], changes: vec![] };
        insta::assert_snapshot!(plain(&render_round(&nothing)), @"No policy was found.");
        assert!(!nothing.failed());
    }
}
