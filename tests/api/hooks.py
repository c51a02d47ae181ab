"""What schemathesis is told of this program: who is asking, which cameras and pictures there are, what a stranger gets.

`check.py` starts it, once for each asker, and says by variables who that is."""

import hashlib
import os

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation

URL = os.environ["API_URL"]
ASKER = os.environ["API_ASKER"]
PASSWORD = os.environ.get("API_PASSWORD")
TOKEN = os.environ.get("API_TOKEN")

# What answers without end, but for streams of events: so much is read.
ENDLESS = "multipart/x-mixed-replace"
READ_MAX = 4096

HTTP = requests.Session()


class Person:
    """A log-in; anew where a request has ended the last one."""

    def __init__(self, password):
        self.password = password
        self.log_in()

    def log_in(self):
        # The known device may log in however often others guessed.
        device = getattr(self, "cookies", {})
        answer = requests.post(f"{URL}/api/login", json={"password": self.password}, cookies=device, timeout=60)
        answer.raise_for_status()
        self.welcome(answer)

    def welcome(self, answer):
        self.cookies = {**getattr(self, "cookies", {}), **answer.cookies.get_dict()}
        self.csrf = answer.json()["csrf_token"]

    def headers(self):
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": cookies, "X-CSRF-Token": self.csrf}

    def ask(self, method, path, **more):
        """An answer to this log-in. A request made up before may have ended it; then there is another."""
        answer = HTTP.request(method, URL + path, headers=self.headers(), timeout=60, **more)
        if answer.status_code == 401:
            self.log_in()
            answer = HTTP.request(method, URL + path, headers=self.headers(), timeout=60, **more)
        answer.raise_for_status()
        return answer.json()

    def get(self, path):
        return self.ask("GET", path)


PERSON = Person(PASSWORD) if ASKER in ("person", "door") else None


def asked_by():
    """The headers of whoever is asking."""
    if PERSON is not None:
        return PERSON.headers()
    return {"Authorization": f"Bearer {TOKEN}"} if ASKER == "token" else {}


def known(path):
    if PERSON is not None:
        return PERSON.get(path)
    answer = HTTP.get(URL + path, headers=asked_by(), timeout=20)
    return answer.json() if answer.ok else {}


def extra_session():
    """Somebody else's log-in, to be ended."""
    mine = PERSON.cookies["session"]
    other = requests.post(f"{URL}/api/login", json={"password": PERSON.password}, cookies=PERSON.cookies, timeout=60)
    other.raise_for_status()
    assert PERSON.cookies["session"] == mine
    return next(session["id"] for session in known("/api/sessions")["sessions"] if not session["current"])


def extra_token():
    wish = {"name": "to be revoked", "scope": "read", "password": PERSON.password}
    return PERSON.ask("POST", "/api/tokens", json=wish)["id"]


def real(operation, name, draw):
    """A value that there is, in the place of one made up."""
    if name == "camera":
        return ["r1", "r2", "r3"][draw % 3]
    if name == "target":
        return "api"
    if name == "script":
        return ["words.js", "state.js"][draw % 2]
    if name == "filename":
        images = known("/api/images?limit=50").get("images", [])
        return images[draw % len(images)]["filename"] if images else None
    if name == "id" and PERSON is not None:
        return extra_session() if "sessions" in operation else extra_token()
    return None


@schemathesis.hook
def before_call(ctx, case, kwargs):
    is_wrong = case.meta is not None and case.meta.is_negative_at(ParameterLocation.PATH)
    draw = int.from_bytes(hashlib.sha256(repr((case.path_parameters, case.query, case.body)).encode()).digest()[:4])
    # Three of four: the fourth keeps what nobody has.
    if case.path_parameters and not is_wrong and draw % 4:
        for name in list(case.path_parameters):
            value = real(case.operation.path, name, draw // 4)
            if value is not None:
                case.path_parameters[name] = value
    # The right password in every second request, so that not only refusals are seen.
    if PERSON is not None and isinstance(case.body, dict) and draw % 2:
        for name in ("password", "current", "current_password"):
            if isinstance(case.body.get(name), str):
                case.body[name] = PERSON.password
    shown = asked_by()
    if PERSON is not None and case.meta is not None:
        # What is left out on purpose stays out, to see that it is missed.
        if case.meta.is_negative_at(ParameterLocation.COOKIE):
            del shown["Cookie"]
        if case.meta.is_negative_at(ParameterLocation.HEADER):
            del shown["X-CSRF-Token"]
    for name, value in shown.items():
        case.headers[name] = value


@schemathesis.hook
def filter_failure(ctx, failure, case, response):
    """Whether it counts. What is dropped here is no fault, and says why."""
    text = response.content.decode(errors="replace")
    # Tokens need neither cookie nor CSRF token, and a demonstration asks for nothing.
    if ASKER in ("token", "demo") and case.meta is not None and response.status_code < 500 and (
        case.meta.is_negative_at(ParameterLocation.COOKIE) or case.meta.is_negative_at(ParameterLocation.HEADER)
    ):
        return False
    # More streams than anybody opens by hand, faster than their ends are noticed; described, and with Retry-After.
    if response.status_code == 503 and '"too_many_' in text:
        return False
    # Rules in words that no schema has: characters that can be seen, letters and digits among others, a whole JPEG, and a
    # cursor that ends in a target.
    in_words = '"name: accepted are 1 to 64 characters' in text or '"text: accepted ' in text or (
        case.operation.path == "/upload" and response.status_code == 422
    ) or (
        case.operation.path == "/api/uploads/dead" and '"cursor: accepted is' in text
    )
    return not in_words


@schemathesis.hook
def after_call(ctx, case, response):
    if PERSON is None:
        return
    path = case.operation.path
    if path == "/api/password" and response.status_code == 200:
        PERSON.password = case.body["new"] if isinstance(case.body, dict) else PERSON.password
        PERSON.cookies |= {name: value for name, value in cookies_of(response).items()}
        PERSON.csrf = response.json()["csrf_token"]
    elif path == "/api/logout" and response.status_code == 204:
        PERSON.log_in()
    elif response.status_code == 401:
        # Perhaps what is left out on purpose; perhaps the log-in has ended, and the next request needs one.
        PERSON.get("/api/sessions")


def cookies_of(response):
    values = response.headers.get("set-cookie", [])
    return dict(value.split(";")[0].split("=", 1) for value in values)


@schemathesis.check
def only_those_who_may(ctx, response, case):
    """A stranger gets what is public, a token for reading changes nothing."""
    if response.status_code in (400, 404, 405, 408, 413, 415, 421) and case.meta is not None and \
            case.meta.generation.mode.is_negative:
        # What is no request of this API at all may be refused before anybody asks who it is.
        return
    is_public = case.operation.definition.raw.get("security") == []
    if ASKER == "stranger" and not is_public:
        assert response.status_code in (401, 403, 429), f"a stranger was answered {response.status_code}"
        assert not response.headers.get("set-cookie"), "a stranger was given a cookie"
    if ASKER == "token" and case.method not in ("GET", "HEAD"):
        assert response.status_code in (401, 403, 429), f"a token for reading was answered {response.status_code}"


# An endless picture is read no further than its first bytes.
_request = requests.Session.request


def _bounded(self, method, url, **kwargs):
    response = _request(self, method, url, **kwargs)
    if kwargs.get("stream") and response.headers.get("Content-Type", "").startswith(ENDLESS):
        response._content = response.raw.read(READ_MAX)
        response._content_consumed = True
        response.close()
    return response


requests.Session.request = _bounded
