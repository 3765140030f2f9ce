//! A stand-in for Gitea and Forgejo. Shapes: their Swagger description.

use serde_json::{Value, json};

use crate::site::{Answer, HEAD_COMMIT, Pull, Request, State, created, text, texts};

fn show(state: &State, pull: &Pull) -> Value {
    // A head that is gone has another `ref`.
    let gone = !state.branches.contains_key(&pull.head);
    let head = if gone { format!("refs/pull/{}/head", pull.number) } else { pull.head.clone() };
    json!({
        "id": 1000 + pull.number,
        "number": pull.number,
        "html_url": format!("https://gitea.example.com/org/web/pulls/{}", pull.number),
        "title": pull.title,
        "body": pull.body,
        "state": if pull.state == "open" { "open" } else { "closed" },
        "merged": pull.state == "merged",
        "labels": pull.labels.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "head": { "label": pull.head, "ref": head, "sha": HEAD_COMMIT, "repo_id": if pull.fork { 99 } else { 1 } },
        "base": { "label": pull.base, "ref": pull.base, "sha": HEAD_COMMIT, "repo_id": 1 },
    })
}

pub fn answer(state: &mut State, request: &Request) -> Answer {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    if let ["orgs", "org", "labels"] = path.as_slice() {
        return (404, json!({ "message": "org is a user" }));
    }
    let ["repos", "org", "web", rest @ ..] = path.as_slice() else {
        return (404, json!({ "message": "The target couldn't be found.", "errors": [] }));
    };
    match (request.method.as_str(), rest) {
        ("GET", []) => {
            let allowed = |how: &str| !state.forbidden.contains(&how);
            let (merge, squash, rebase) = (allowed("merge"), allowed("squash"), allowed("rebase"));
            let kinds = json!({ "allow_merge_commits": merge, "allow_squash_merge": squash, "allow_rebase": rebase });
            (200, kinds)
        }
        ("GET", ["pulls"]) => list(state, request),
        ("POST", ["pulls"]) => open(state, request),
        ("PATCH", ["pulls", number]) => created(of(state, number, |pull| {
            pull.retell(&request.body, "title", "body");
            if request.body["state"] == "closed" {
                pull.state = "closed";
            }
        })),
        ("GET", ["labels"]) => {
            let labels = state.labels.iter().enumerate();
            (200, labels.map(|(id, name)| json!({ "id": id, "name": name, "color": "ededed" })).collect())
        }
        ("POST", ["labels"]) => {
            if !text(&request.body, "color").starts_with('#') {
                return (422, json!({ "message": "invalid color" }));
            }
            state.labels.push(text(&request.body, "name").to_owned());
            (201, json!({ "id": state.labels.len() - 1, "name": request.body["name"] }))
        }
        ("POST", ["issues", number, "labels"]) => label(state, request, number),
        ("POST", ["issues", number, "comments"]) => {
            created(of(state, number, |pull| pull.comments.push(text(&request.body, "body").to_owned())))
        }
        ("POST", ["pulls", number, "requested_reviewers"]) => {
            let names = texts(&request.body["reviewers"]);
            if names.iter().any(|name| name == "nobody") {
                return (404, json!({ "message": "user 'nobody' does not exist" }));
            }
            created(of(state, number, |pull| pull.reviewers = names))
        }
        ("POST", ["pulls", number, "merge"]) => {
            if request.body["merge_when_checks_succeed"] != true {
                return state.complain(request, "it would be merged at once");
            }
            if text(&request.body, "head_commit_id") != HEAD_COMMIT {
                return (409, json!({ "message": "head out of date" }));
            }
            let how = text(&request.body, "Do").to_uppercase();
            let (status, _) = of(state, number, |pull| pull.merge = Some(format!("when ready by {how}")));
            created((status, Value::Null))
        }
        _ => state.complain(request, "Gitea has no such thing"),
    }
}

/// As versions do that do not know `base_branch`: the list has all bases.
fn list(state: &mut State, request: &Request) -> Answer {
    let query = |name: &str| request.query.get(name).cloned().unwrap_or_default();
    let (wanted, page, limit) = (query("state"), query("page"), query("limit"));
    let (Ok(page), Ok(limit)) = (page.parse::<usize>(), limit.parse::<usize>()) else {
        return state.complain(request, "no page is asked for");
    };
    let found = state.newest(|pull| wanted == "all" || pull.state == wanted);
    let found = found.iter().skip((page - 1) * limit).take(limit);
    (200, found.map(|pull| show(state, pull)).collect())
}

fn open(state: &mut State, request: &Request) -> Answer {
    let (head, base) = (text(&request.body, "head"), text(&request.body, "base"));
    if !state.branches.contains_key(head) {
        return (404, json!({ "message": "The target couldn't be found." }));
    }
    if let Some(number) = state.between(head, base) {
        let message = format!("pull request already exists for these targets [id: {number}, head_branch: {head}]");
        return (409, json!({ "message": message }));
    }
    let pull = state.open(head, base, text(&request.body, "title"), text(&request.body, "body"));
    (201, show(state, &pull))
}

fn label(state: &mut State, request: &Request, number: &str) -> Answer {
    let known = state.labels.clone();
    let ids = request.body["labels"].as_array().cloned().unwrap_or_default();
    let name = |id: &Value| known.get(usize::try_from(id.as_u64()?).ok()?).cloned();
    let Some(names) = ids.iter().map(name).collect() else { return state.complain(request, "labels go by their ids") };
    of(state, number, |pull| pull.label(names))
}

fn of(state: &mut State, number: &str, change: impl FnOnce(&mut Pull)) -> Answer {
    let Some(pull) = state.find(number) else { return (404, json!({ "message": "not found" })) };
    change(pull);
    let pull = pull.clone();
    (200, show(state, &pull))
}
