"""Webhook events as code hosts send them.

9.9 kB, nested, objects of 80 members, a long text. There is an escape for each hundred bytes, as in
long events of github.json.
"""

import random

from stream import Message, Stream, compact

BYTES = 9_900
WORDS = (
    "the broker reads a frame and judges it before anybody else sees the message which keeps "
    "consumers from what they cannot read; see `docs/protocol.md` for JSON, don't rely on order"
).split()
RARE = "Grüße naïve façade → 日本語 🚀 C:\\temp".split()
BETWEEN = [" "] * 40 + ["\r\n", "\r\n\r\n- ", '" ', ' "']
LINKS = (
    "archive assignees blobs branches collaborators comments commits compare contents contributors "
    "deployments downloads events forks git_commits git_refs git_tags hooks issue_comment "
    "issue_events issues keys labels languages merges milestones notifications pulls releases "
    "stargazers statuses subscribers subscription tags teams trees"
).split()
COUNTS = (
    "size stargazers_count watchers_count forks_count open_issues_count forks open_issues watchers"
).split()
FLAGS = (
    "private fork has_issues has_projects has_downloads has_wiki has_pages has_discussions "
    "archived disabled allow_forking is_template web_commit_signoff_required"
).split()
DATES = "created_at updated_at pushed_at".split()
MEMBERS = 80


def stream():
    rng = random.Random(80)
    return Stream(
        "webhooks", "webhook events", "small", [event(rng, number) for number in range(200)]
    )


def date(rng):
    month, day, hour = rng.randrange(1, 13), rng.randrange(1, 29), rng.randrange(24)
    return f"2024-{month:02}-{day:02}T{hour:02}:{rng.randrange(60):02}:07Z"


def text(rng, length):
    """Paragraphs with the escapes that people's texts have."""
    out = ""
    while len(out) < length:
        out += rng.choice(RARE if rng.random() < 0.03 else WORDS) + rng.choice(BETWEEN)
    return out[:length]


def user(rng):
    name = rng.choice(["octo", "zoë", "kenji", "mira", "sam"]) + str(rng.randrange(1000))
    site = "https://api.example.org/users/" + name
    return {
        "login": name,
        "id": rng.randrange(10**8),
        "node_id": f"U_kgDO{rng.randrange(10**9)}",
        "avatar_url": f"https://avatars.example.org/u/{rng.randrange(10**8)}?v=4",
        "gravatar_id": "",
        "url": site,
        "followers_url": site + "/followers",
        "following_url": site + "/following{/other_user}",
        "gists_url": site + "/gists{/gist_id}",
        "repos_url": site + "/repos",
        "type": "User",
        "site_admin": False,
    }


def repository(rng, name):
    site = f"https://api.example.org/repos/{name}"
    made = {"id": rng.randrange(10**9), "node_id": f"R_kgDO{rng.randrange(10**9)}"}
    made |= {"name": name.split("/")[1], "full_name": name, "owner": user(rng)}
    made |= {"description": text(rng, 90), "url": site}
    made |= {flag: rng.random() < 0.3 for flag in FLAGS}
    made |= {f"{link}_url": f"{site}/{link}{{/number}}" for link in LINKS}
    made |= {count: rng.randrange(100_000) for count in COUNTS}
    made |= {at: date(rng) for at in DATES}
    made |= {"homepage": None, "language": "Rust"}
    made |= {"license": {"key": "mit", "spdx_id": "MIT", "url": None}}
    made |= {"topics": ["broker", "json", "pickle", "xml"], "visibility": "public"}
    made |= {"default_branch": "main"}
    made |= {"mirror_url": None, "score": round(rng.random(), 4), "temp_clone_token": ""}
    for number in range(len(made), MEMBERS):
        made[f"custom_property_{number}"] = rng.choice([None, True, rng.randrange(1000), "unset"])
    assert len(made) == MEMBERS, len(made)
    return made


def event(rng, number):
    name = f"example/project-{number % 50}"
    labels = [
        {"id": rng.randrange(10**9), "name": label, "color": "d73a4a", "default": False}
        for label in ["bug", "good first issue", "needs:triage"]
    ]
    value = {
        "action": rng.choice(["opened", "edited", "closed", "labeled"]),
        "number": number,
        "issue": {
            "url": f"https://api.example.org/repos/{name}/issues/{number}",
            "id": rng.randrange(10**9),
            "title": text(rng, 60),
            "user": user(rng),
            "labels": labels,
            "state": "open",
            "locked": False,
            "assignee": None,
            "milestone": None,
            "comments": rng.randrange(40),
            "created_at": date(rng),
            "body": "",
            "reactions": {"total_count": 3, "+1": 2, "-1": 0, "laugh": 1, "hooray": 0, "heart": 0},
        },
        "repository": repository(rng, name),
        "sender": user(rng),
    }
    missing = BYTES - len(compact(value).encode())
    body = text(rng, missing)
    # Escapes and letters beyond ASCII take more bytes than one.
    while (excess := len(compact(body).encode()) - 2 - missing) > 0:
        body = body[: -max(1, excess // 3)]
    value["issue"]["body"] = body
    return Message(f"webhooks/{name}", compact(value))
