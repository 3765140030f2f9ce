//! A stand-in for GitLab. Shapes: its documentation of the merge requests API.

use serde_json::{Value, json};

use crate::site::{Answer, HEAD_COMMIT, Pull, Request, State, created, text};

fn show(pull: &Pull) -> Value {
    json!({
        "id": 1000 + pull.number,
        "iid": pull.number,
        "project_id": 1,
        "web_url": format!("https://gitlab.example.com/org/web/-/merge_requests/{}", pull.number),
        "title": pull.title,
        "description": pull.body,
        "state": if pull.state == "open" { "opened" } else { pull.state },
        "source_branch": pull.head,
        "target_branch": pull.base,
        "source_project_id": if pull.fork { 99 } else { 1 },
        "target_project_id": 1,
        "labels": pull.labels,
        "sha": HEAD_COMMIT,
        "merge_when_pipeline_succeeds": pull.merge.is_some(),
    })
}

pub fn answer(state: &mut State, request: &Request) -> Answer {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    if let ("GET", ["users"]) = (request.method.as_str(), path.as_slice()) {
        let name = request.query.get("username").cloned().unwrap_or_default();
        return (200, if name == "nobody" { json!([]) } else { json!([{ "id": 7, "username": name }]) });
    }
    if let ("GET", ["projects", "org/web"]) = (request.method.as_str(), path.as_slice()) {
        let option = if state.forbidden.contains(&"squash") { "never" } else { "default_off" };
        return (200, json!({ "id": 1, "merge_method": "merge", "squash_option": option }));
    }
    let ["projects", "org/web", "merge_requests", rest @ ..] = path.as_slice() else {
        return (404, json!({ "message": "404 Project Not Found" }));
    };
    match (request.method.as_str(), rest) {
        ("GET", []) => list(state, request),
        ("POST", []) => open(state, request),
        ("PUT", [number]) => of(state, number, |pull| {
            pull.retell(&request.body, "title", "description");
            if request.body["state_event"] == "close" {
                pull.state = "closed";
            }
            pull.label(labels(&request.body, "add_labels"));
            if request.body.get("reviewer_ids").is_some() {
                pull.reviewers = reviewers(&request.body);
            }
        }),
        ("POST", [number, "notes"]) => {
            created(of(state, number, |pull| pull.comments.push(text(&request.body, "body").to_owned())))
        }
        ("PUT", [number, "merge"]) => {
            if request.body["merge_when_pipeline_succeeds"] != true || request.body["auto_merge"] != true {
                return state.complain(request, "it would be merged at once");
            }
            if text(&request.body, "sha") != HEAD_COMMIT {
                return (409, json!({ "message": "SHA does not match HEAD of source branch" }));
            }
            let how = if request.body["squash"] == true { "SQUASH" } else { "MERGE" };
            of(state, number, |pull| pull.merge = Some(format!("when ready by {how}")))
        }
        _ => state.complain(request, "GitLab has no such thing"),
    }
}

fn list(state: &mut State, request: &Request) -> Answer {
    let query = |name: &str| request.query.get(name).cloned().unwrap_or_default();
    if query("order_by") != "created_at" || query("sort") != "desc" {
        return state.complain(request, "the newest are not asked for");
    }
    let (wanted, head, base) = (query("state"), query("source_branch"), query("target_branch"));
    let found = state.newest(|pull| {
        (wanted == "all" || (wanted == "opened" && pull.state == "open"))
            && (head.is_empty() || head == pull.head)
            && (base.is_empty() || base == pull.base)
    });
    (200, found.iter().map(show).collect())
}

fn open(state: &mut State, request: &Request) -> Answer {
    let (head, base) = (text(&request.body, "source_branch"), text(&request.body, "target_branch"));
    if let Some(number) = state.between(head, base) {
        let message = format!("Another open merge request already exists for this source branch: !{number}");
        return (409, json!({ "message": [message] }));
    }
    if !state.branches.contains_key(head) {
        return (400, json!({ "message": { "source_branch": ["does not exist"] } }));
    }
    let made = state.open(head, base, text(&request.body, "title"), text(&request.body, "description"));
    let (labels, reviewers) = (labels(&request.body, "labels"), reviewers(&request.body));
    created(of(state, &made.number.to_string(), |pull| (pull.labels, pull.reviewers) = (labels, reviewers)))
}

fn labels(body: &Value, key: &str) -> Vec<String> {
    text(body, key).split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn reviewers(body: &Value) -> Vec<String> {
    let ids = body["reviewer_ids"].as_array().into_iter().flatten();
    ids.map(|id| if *id == 7 { "alice".to_owned() } else { id.to_string() }).collect()
}

fn of(state: &mut State, number: &str, change: impl FnOnce(&mut Pull)) -> Answer {
    let Some(pull) = state.find(number) else { return (404, json!({ "message": "404 Not found" })) };
    change(pull);
    (200, show(pull))
}
