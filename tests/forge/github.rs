//! A stand-in for GitHub. Shapes: its documentation of REST and GraphQL, as far as they are read.

use serde_json::{Value, json};

use crate::site::{Answer, HEAD_COMMIT, Pull, Request, State, created, text, texts};

fn show(pull: &Pull) -> Value {
    let repository = if pull.fork { json!({ "id": 99 }) } else { json!({ "id": 1 }) };
    json!({
        "number": pull.number,
        "node_id": format!("PR_{}", pull.number),
        "html_url": format!("https://github.example.com/org/web/pull/{}", pull.number),
        "title": pull.title,
        "body": if pull.body.is_empty() { Value::Null } else { json!(pull.body) },
        "state": if pull.state == "open" { "open" } else { "closed" },
        "merged_at": if pull.state == "merged" { json!("2026-11-23T10:00:00Z") } else { Value::Null },
        "draft": false,
        "auto_merge": null,
        "labels": pull.labels.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "head": { "label": format!("org:{}", pull.head), "ref": pull.head, "sha": HEAD_COMMIT, "repo": repository },
        "base": { "label": format!("org:{}", pull.base), "ref": pull.base, "sha": HEAD_COMMIT, "repo": { "id": 1 } },
    })
}

pub fn answer(state: &mut State, request: &Request) -> Answer {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let ["repos", "org", "web", rest @ ..] = path.as_slice() else { return (404, json!({ "message": "Not Found" })) };
    match (request.method.as_str(), rest) {
        ("GET", ["pulls"]) => list(state, request),
        ("POST", ["pulls"]) => open(state, request),
        ("GET", ["pulls", number]) => of(state, number, |_| ()),
        ("PATCH", ["pulls", number]) => of(state, number, |pull| {
            pull.retell(&request.body, "title", "body");
            if request.body["state"] == "closed" {
                pull.state = "closed";
            }
        }),
        ("POST", ["issues", number, "labels"]) => of(state, number, |pull| pull.label(texts(&request.body["labels"]))),
        ("POST", ["issues", number, "comments"]) => {
            created(of(state, number, |pull| pull.comments.push(text(&request.body, "body").to_owned())))
        }
        ("POST", ["pulls", number, "requested_reviewers"]) => {
            let names = texts(&request.body["reviewers"]);
            if names.iter().any(|name| name == "nobody") {
                let message = "Reviews may only be requested from collaborators.";
                return (422, json!({ "message": message }));
            }
            let teams = texts(&request.body["team_reviewers"]).into_iter().map(|team| format!("team {team}"));
            let all: Vec<_> = names.into_iter().chain(teams).collect();
            created(of(state, number, |pull| pull.reviewers = all))
        }
        ("PUT", ["pulls", number, "merge"]) => {
            if text(&request.body, "sha") != HEAD_COMMIT {
                return (409, json!({ "message": "Head branch was modified. Review and try the merge again." }));
            }
            let how = text(&request.body, "merge_method").to_owned();
            if state.forbidden.iter().any(|forbidden| *forbidden == how) {
                return (
                    405,
                    json!({ "message": format!("The merge method {how} is not allowed on this repository.") }),
                );
            }
            of(state, number, |pull| {
                pull.state = "merged";
                pull.merge = Some(format!("at once by {how}"));
            })
        }
        _ => state.complain(request, "GitHub has no such thing"),
    }
}

fn list(state: &mut State, request: &Request) -> Answer {
    let query = |name: &str| request.query.get(name).cloned().unwrap_or_default();
    if query("sort") != "created" || query("direction") != "desc" {
        return state.complain(request, "the newest are not asked for");
    }
    let (wanted, head, base) = (query("state"), query("head"), query("base"));
    let found = state.newest(|pull| {
        (wanted == "all" || (pull.state == "open") == (wanted == "open"))
            && (head.is_empty() || head == format!("org:{}", pull.head))
            && (base.is_empty() || base == pull.base)
    });
    (200, found.iter().map(show).collect())
}

fn open(state: &mut State, request: &Request) -> Answer {
    let (head, base) = (text(&request.body, "head"), text(&request.body, "base"));
    let failed = |error: Value| (422, json!({ "message": "Validation Failed", "errors": [error] }));
    if !state.branches.contains_key(head) {
        return failed(json!({ "resource": "PullRequest", "field": "head", "code": "invalid" }));
    }
    if state.branches[head] == state.branches[base] {
        let message = format!("No commits between {base} and {head}");
        return failed(json!({ "resource": "PullRequest", "code": "custom", "message": message }));
    }
    if state.between(head, base).is_some() {
        let message = format!("A pull request already exists for org:{head}.");
        return failed(json!({ "resource": "PullRequest", "code": "custom", "message": message }));
    }
    let pull = state.open(head, base, text(&request.body, "title"), text(&request.body, "body"));
    (201, show(&pull))
}

fn of(state: &mut State, number: &str, change: impl FnOnce(&mut Pull)) -> Answer {
    let Some(pull) = state.find(number) else { return (404, json!({ "message": "Not Found" })) };
    change(pull);
    (200, show(pull))
}

/// GraphQL answers failures with 200.
pub fn graphql(state: &mut State, body: &Value) -> Answer {
    let (query, input) = (text(body, "query"), &body["variables"]["input"]);
    let failed = |kind: &str, message: &str| {
        (200, json!({ "data": null, "errors": [{ "type": kind, "path": ["m"], "message": message }] }))
    };
    if query.contains("enablePullRequestAutoMerge(input: $input)") {
        if state.clean {
            return failed("UNPROCESSABLE", "Pull request Pull request is in clean status");
        }
        if text(input, "expectedHeadOid") != HEAD_COMMIT {
            return failed("UNPROCESSABLE", "Head sha was modified");
        }
        let how = text(input, "mergeMethod").to_lowercase();
        if state.forbidden.iter().any(|forbidden| *forbidden == how) {
            let message = format!("Merge method {how} merging is not allowed on this repository");
            return failed("UNPROCESSABLE", &message);
        }
        let method = text(input, "mergeMethod").to_owned();
        let Some(pull) = text(input, "pullRequestId").strip_prefix("PR_").and_then(|number| state.find(number)) else {
            return failed("NOT_FOUND", "Could not resolve to a node");
        };
        pull.merge = Some(format!("when ready by {method}"));
        return (200, json!({ "data": { "enablePullRequestAutoMerge": { "clientMutationId": null } } }));
    }
    if !query.contains("createCommitOnBranch(input: $input) { commit { oid } }") {
        return (200, json!({ "errors": [{ "message": "Parse error" }] }));
    }
    let branch = text(&input["branch"], "branchName").to_owned();
    if text(&input["branch"], "repositoryNameWithOwner") != "org/web" || !state.branches.contains_key(&branch) {
        return failed("NOT_FOUND", "A branch that does not exist cannot be committed to");
    }
    let expected = text(input, "expectedHeadOid");
    if state.branches[&branch] != expected {
        let message = format!("Expected branch to point to \"{expected}\" but it did not.  Pull and try again.");
        return failed("STALE_DATA", &message);
    }
    let oid = format!("{:040x}", state.commits.len() + 0xc0);
    state.commits.insert(oid.clone(), input.clone());
    state.set_branch(&branch, &oid);
    (200, json!({ "data": { "createCommitOnBranch": { "commit": { "oid": oid } } } }))
}
