//! All tags of a repository, page by page.
//!
//! # Guarantees
//!
//! A list is either whole or says why it may not be: pages that go round in a circle, that come to no end, or that a
//! registry does not continue. What comes over the wire is asked for here; what it means is decided by [`Pages`], which
//! knows no network.

use std::collections::HashSet;
use std::sync::Arc;

use http::header::{ETAG, LINK};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::challenge::{split_outside_quotes, unquoted};
use super::failure::Failure;
use super::observe::RequestKind;
use super::session::Session;
use super::settings::Limits;
use super::transport::{Answer, Request};
use crate::model::{Listing, Repository, Tag};

/// What became of a look at a list.
pub(super) enum Found {
    /// It says what it said before.
    Same,
    /// It says this, on these pages.
    List(Listing, Vec<Arc<KnownPage>>),
}

/// A page as it was answered, to know it again.
#[derive(Debug)]
pub(super) struct KnownPage {
    url: Url,
    etag: Option<HeaderValue>,
    hash: [u8; 32],
    link: Option<String>,
    texts: Vec<String>,
}

/// Lists the tags of a repository. `known` is how the whole list was answered before; what is the same is not read again.
///
/// Each page is asked for and compared by itself: that the first is the same says nothing of the others. With `conditional`
/// a registry may answer by saying so alone (`ETag`); else its answer is compared.
pub(super) async fn list(
    session: &Session,
    repository: &Repository,
    known: &[Arc<KnownPage>],
    conditional: bool,
) -> Result<Found, Failure> {
    let asking = Asking { session, repository, conditional };
    let mut read = Vec::new();
    for before in known {
        let page = asking.page(before.url.clone(), Some(before)).await?;
        let same = Arc::ptr_eq(&page, before);
        read.push(page);
        if !same {
            break;
        }
    }
    if !read.is_empty()
        && read.len() == known.len()
        && read.iter().zip(known).all(|(page, before)| Arc::ptr_eq(page, before))
    {
        return Ok(Found::Same);
    }
    let first = session.host.url(&format!("{}/tags/list", repository.path));
    let mut pages = Pages::new(first, session.limits);
    let mut asked = 0;
    while let Some(url) = pages.next.take() {
        if asked == read.len() {
            let before = known.iter().find(|known| known.url == url);
            read.push(asking.page(url, before).await?);
        }
        pages.take(&read[asked].texts, read[asked].link.as_deref())?;
        asked += 1;
    }
    let listing = pages.into_listing().in_order(session.host.endpoint.order);
    // What came to no proper end is read from its beginning next time.
    let whole = listing.incomplete.is_none();
    Ok(Found::List(listing, if whole { read } else { Vec::new() }))
}

/// Who asks for the pages of a list.
struct Asking<'a> {
    session: &'a Session,
    repository: &'a Repository,
    conditional: bool,
}

impl Asking<'_> {
    /// A page: the known one itself where it is the same.
    async fn page(&self, url: Url, before: Option<&Arc<KnownPage>>) -> Result<Arc<KnownPage>, Failure> {
        let etag = before.filter(|_| self.conditional).and_then(|before| before.etag.clone());
        let mut request = Request::get(RequestKind::Tags, url.clone(), self.session.limits.tags_page);
        request.etag.clone_from(&etag);
        let answer = self.session.ask(self.repository, request).await?;
        if let (StatusCode::NOT_MODIFIED, Some(before), Some(_)) = (answer.status, before, etag) {
            return Ok(Arc::clone(before));
        }
        let answer = answer.success("the registry")?;
        let (hash, link) = (Sha256::digest(&answer.body).into(), next_link(&answer.headers));
        let etag = answer.headers.get(ETAG).cloned();
        if let Some(before) = before.filter(|known| (known.hash, &known.link, &known.etag) == (hash, &link, &etag)) {
            return Ok(Arc::clone(before));
        }
        Ok(Arc::new(KnownPage { url, etag, hash, link, texts: read(&answer)? }))
    }
}

/// The pages of one list so far.
struct Pages {
    first: Url,
    limits: Limits,
    next: Option<Url>,
    count: usize,
    asked: HashSet<Url>,
    linked: bool,
    seen: HashSet<String>,
    tags: Vec<Tag>,
    incomplete: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    /// `null` where there is none; some registries say so.
    #[serde(deserialize_with = "present")]
    tags: Option<Vec<String>>,
}

/// The field must be there; without this, a missing one would read as `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Option::deserialize(deserializer)
}

fn read(answer: &Answer) -> Result<Vec<String>, Failure> {
    // Go's servers call JSON `text/plain` where nobody told them what it is.
    let readable =
        answer.media_type().is_none_or(|media_type| media_type.contains("json") || media_type == "text/plain");
    if !readable {
        return Err(Failure::unreadable("the registry answers with something that is not JSON"));
    }
    let page: Page = serde_json::from_slice(&answer.body)
        .map_err(|_| Failure::unreadable("the registry's answer is not a list of tags"))?;
    Ok(page.tags.unwrap_or_default())
}

impl Pages {
    fn new(first: Url, limits: Limits) -> Self {
        let mut next = first.clone();
        next.query_pairs_mut().append_pair("n", &limits.page_size.to_string());
        let asked = HashSet::from([next.clone()]);
        Self {
            first,
            limits,
            next: Some(next),
            count: 0,
            asked,
            linked: false,
            seen: HashSet::new(),
            tags: Vec::new(),
            incomplete: None,
        }
    }

    /// Takes one page in and decides what to ask for next.
    fn take(&mut self, page: &[String], link: Option<&str>) -> Result<(), Failure> {
        self.count += 1;
        let continues = self.count > 1;
        let mut new = 0_usize;
        for text in page {
            if self.seen.insert(text.clone()) {
                new += 1;
                self.tags.extend(text.parse::<Tag>());
            }
        }
        let repeats = continues && new == 0 && !page.is_empty();
        let next = match link {
            _ if repeats => return self.stop("the registry repeats a page of its list instead of continuing it"),
            Some(link) => {
                self.linked = true;
                Some(continued(&self.first, link)?)
            }
            // Some registries cut a list without saying where it goes on.
            None if !self.linked && page.len() == self.limits.page_size => page.last().map(|last| self.after(last)),
            None => None,
        };
        let Some(next) = next else { return Ok(()) };
        if !self.asked.insert(next.clone()) {
            return self.stop("the pages of the list go round in a circle");
        }
        if self.count >= self.limits.pages {
            return self.stop(&format!("the list has more than {} pages", self.limits.pages));
        }
        if self.seen.len() >= self.limits.tags {
            return self.stop(&format!("the list has more than {} tags", self.limits.tags));
        }
        self.next = Some(next);
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "ends `take`, which may fail")]
    fn stop(&mut self, why: &str) -> Result<(), Failure> {
        self.incomplete = Some(why.to_owned());
        Ok(())
    }

    fn after(&self, last: &str) -> Url {
        let mut url = self.first.clone();
        url.query_pairs_mut().append_pair("n", &self.limits.page_size.to_string()).append_pair("last", last);
        url
    }

    fn into_listing(self) -> Listing {
        Listing { incomplete: self.incomplete, ..Listing::of_tags(self.tags) }
    }
}

/// The target of the link to the next page.
fn next_link(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(split_outside_quotes).find_map(|link| {
        let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
        let relations: Vec<String> = parameters
            .split(';')
            .filter_map(|parameter| parameter.trim().split_once('='))
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("rel"))
            .map(|(_, value)| unquoted(value.trim()))
            .collect();
        let words = || relations.iter().flat_map(|relation| relation.split_whitespace());
        let next = relations.is_empty() || words().any(|word| word.eq_ignore_ascii_case("next"));
        next.then(|| target.trim().to_owned())
    })
}

/// Where a link leads: to the list that it continues, with the link's query. Proxies get scheme and path wrong, so neither
/// is believed; another host is refused.
fn continued(first: &Url, link: &str) -> Result<Url, Failure> {
    let refused = |what: &str| Failure::unreadable(format!("the registry continues its list {what}"));
    let target = first.join(link).map_err(|_| refused("at what is no address"))?;
    let port = |url: &Url| url.port();
    let same_host = target.host_str() == first.host_str();
    let same_port = port(&target) == port(first) || target.scheme() != first.scheme() && port(&target).is_none();
    if !same_host || !same_port {
        return Err(refused("at another host"));
    }
    let mut url = first.clone();
    url.set_query(Some(target.query().filter(|query| !query.is_empty()).ok_or_else(|| refused("at its beginning"))?));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "https://ghcr.io/v2/a/b/tags/list";

    fn url(text: &str) -> Url {
        Url::parse(text).expect("what a test writes is valid")
    }

    fn headers(link: Option<&str>) -> HeaderMap {
        link.and_then(|link| HeaderValue::from_str(link).ok()).map(|value| (LINK, value)).into_iter().collect()
    }

    /// The queries that are asked and the list that comes of it, for pages of tags with their links.
    fn walk(pages: &[(&[&str], Option<&str>)]) -> String {
        let limits = Limits { page_size: 2, pages: 4, tags: 7, ..Limits::default() };
        let mut walk = Pages::new(url(FIRST), limits);
        let mut asked = Vec::new();
        let mut pages = pages.iter();
        while let Some(next) = walk.next.take() {
            asked.push(format!("?{}", next.query().unwrap_or_default()));
            let Some((tags, link)) = pages.next() else { break };
            let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            if let Err(failure) = walk.take(&tags, next_link(&headers(*link)).as_deref()) {
                asked.push(failure.cause);
            }
        }
        let tags: Vec<_> = walk.tags.iter().map(Tag::as_str).collect();
        format!(
            "{} → {}{}",
            asked.join(" "),
            tags.join(","),
            walk.incomplete.map(|why| format!(" ({why})")).unwrap_or_default()
        )
    }

    #[test]
    fn links_are_followed_however_they_are_spelled() {
        let link = |link: &str| walk(&[(&["1", "2"], Some(link)), (&["3", "4"], None)]);
        insta::assert_snapshot!(link("</v2/a/b/tags/list?last=2&n=2>; rel=\"next\""), @"?n=2 ?last=2&n=2 → 1,2,3,4");
        insta::assert_snapshot!(link("<https://ghcr.io/v2/a/b/tags/list?last=2>;rel=next"), @"?n=2 ?last=2 → 1,2,3,4");
        insta::assert_snapshot!(link("<http://ghcr.io/prefix/v2/a/b/tags/list?next_page=x%3D>; rel=\"next\""), @"?n=2 ?next_page=x%3D → 1,2,3,4");
        insta::assert_snapshot!(link("<?last=2>"), @"?n=2 ?last=2 → 1,2,3,4");
        insta::assert_snapshot!(link("</x>; rel=\"prev\", <?last=2>; title=\"a,b\"; rel=\"last next\""), @"?n=2 ?last=2 → 1,2,3,4");
        insta::assert_snapshot!(link("<https://evil.example/v2/a/b/tags/list?last=2>; rel=\"next\""), @"?n=2 the registry continues its list at another host → 1,2");
        insta::assert_snapshot!(link("<https://ghcr.io:8443/v2/a/b/tags/list?last=2>; rel=\"next\""), @"?n=2 the registry continues its list at another host → 1,2");
        insta::assert_snapshot!(link("</v2/a/b/tags/list>; rel=\"next\""), @"?n=2 the registry continues its list at its beginning → 1,2");
        insta::assert_snapshot!(link("<https://[>; rel=\"next\""), @"?n=2 the registry continues its list at what is no address → 1,2");
    }

    #[test]
    fn a_full_page_without_a_link_is_continued_after_its_last_tag() {
        insta::assert_snapshot!(walk(&[(&["1", "2"], None), (&["3"], None)]), @"?n=2 ?n=2&last=2 → 1,2,3");
        insta::assert_snapshot!(walk(&[(&["1", "2"], None), (&[], None)]), @"?n=2 ?n=2&last=2 → 1,2");
        insta::assert_snapshot!(walk(&[(&["1"], None)]), @"?n=2 → 1");
    }

    #[test]
    fn a_registry_that_ignores_the_page_size_is_asked_once() {
        insta::assert_snapshot!(walk(&[(&["1", "2", "3"], None)]), @"?n=2 → 1,2,3");
    }

    #[test]
    fn lists_without_an_end_are_incomplete() {
        let again = Some("<?last=2>; rel=\"next\"");
        insta::assert_snapshot!(walk(&[(&["1", "2"], again), (&["3", "4"], again)]), @"?n=2 ?last=2 → 1,2,3,4 (the pages of the list go round in a circle)");
        insta::assert_snapshot!(walk(&[(&["1", "2"], again), (&["1", "2"], Some("<?last=3>"))]), @"?n=2 ?last=2 → 1,2 (the registry repeats a page of its list instead of continuing it)");
        insta::assert_snapshot!(walk(&[(&["1", "2"], None), (&["1", "2"], None)]), @"?n=2 ?n=2&last=2 → 1,2 (the registry repeats a page of its list instead of continuing it)");
        let pages = [
            (&["1"][..], Some("<?last=1>")),
            (&["2"], Some("<?last=2>")),
            (&["3"], Some("<?last=3>")),
            (&["4"], Some("<?last=4>")),
        ];
        insta::assert_snapshot!(walk(&pages), @"?n=2 ?last=1 ?last=2 ?last=3 → 1,2,3,4 (the list has more than 4 pages)");
        insta::assert_snapshot!(walk(&[(&["1", "2", "3", "4", "5", "6", "7"], Some("<?last=7>"))]), @"?n=2 → 1,2,3,4,5,6,7 (the list has more than 7 tags)");
    }

    #[test]
    fn what_is_no_tag_and_what_comes_twice_is_left_out() {
        insta::assert_snapshot!(walk(&[(&["1", "-x", "1", ""], None)]), @"?n=2 → 1");
    }

    #[test]
    fn a_page_is_json_with_tags() {
        let page = |media_type: &'static str, body: &'static str| {
            let headers = HeaderMap::from_iter(
                [("content-type", media_type)]
                    .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))),
            );
            let answer = Answer { status: StatusCode::OK, headers, body: body.into() };
            read(&answer).map_or_else(|failure| failure.cause, |tags| tags.join(","))
        };
        insta::assert_snapshot!(page("application/json; charset=utf-8", r#"{"name":"a","tags":["1","2"]}"#), @"1,2");
        insta::assert_snapshot!(page("text/plain", r#"{"tags":["1"]}"#), @"1");
        assert_eq!(page("application/json", r#"{"tags":null}"#), "");
        insta::assert_snapshot!(page("application/json", r#"{"errors":[]}"#), @"the registry's answer is not a list of tags");
        insta::assert_snapshot!(page("application/json", r#"{"tags":["1""#), @"the registry's answer is not a list of tags");
        insta::assert_snapshot!(page("application/json", r#"{"tags":[1]}"#), @"the registry's answer is not a list of tags");
        insta::assert_snapshot!(page("text/html", "<html>"), @"the registry answers with something that is not JSON");
    }
}
