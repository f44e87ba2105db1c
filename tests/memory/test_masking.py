"""Secrets are masked, what only looks like one stays, and hostile texts cost no more than others."""

from __future__ import annotations

import base64
import random
import string
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentevo.errors import Misuse
from agentevo.memory import Memory
from agentevo.memory.masking import masked
from agentevo.memory.named_secrets import masked_within

ALNUM = string.ascii_letters + string.digits
DICE = random.Random(7)


def drawn(count: int, alphabet: str = ALNUM) -> str:
    """Return a made-up secret; none is written out here, so no scanner takes this file for a leak."""
    return "9aB"[: max(0, count)] + "".join(DICE.choices(alphabet, k=count - 3))


def hexes(count: int) -> str:
    return "a1" + "".join(DICE.choices("0123456789abcdef", k=count - 2))


def upper(count: int) -> str:
    return "".join(DICE.choices(string.ascii_uppercase + string.digits, k=count))


def web_token() -> str:
    parts = (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","name":"Ann"}')
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), drawn(43)])


LINES = "\n".join(drawn(64) for _ in range(3))
RSA, SSH = "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY"

SECRETS: list[tuple[str, str, str, str]] = [
    # kind, before, secret, after
    ("openai key", "my key is ", "sk-" + drawn(48), ", keep it"),
    ("openai key", "", "sk-proj-" + drawn(60) + "_" + drawn(20), ""),
    ("openai key", "OPENAI=", "sk-svcacct-" + drawn(40), "\n"),
    ("anthropic key", "use ", "sk-ant-api03-" + drawn(80) + "-AA", " here"),
    ("openrouter key", "", "sk-or-v1-" + hexes(64), ""),
    ("aws access key", "id ", "AKIA" + upper(16), " was rotated"),
    ("aws access key", "(", "ASIA" + upper(16), ")"),
    ("aws secret key", "aws_secret_access_key = ", drawn(36) + "/+aB", "\nregion = eu-west-1"),
    ("aws secret key", '"SecretAccessKey": "', drawn(36) + "/+aB", '"'),
    ("github token", "git clone with ", "ghp_" + drawn(36), "."),
    ("github token", "", "gho_" + drawn(36), " x"),
    ("github token", "PAT: ", "github_pat_" + drawn(22) + "_" + drawn(59), ""),
    ("gitlab token", "curl -H 'PRIVATE-TOKEN: ", "glpat-" + drawn(20), "' x"),
    ("gitlab token", "runner ", "glrt-" + drawn(20), ""),
    ("slack token", "bot ", "xoxb-" + "1234567890-" + drawn(24), " joined"),
    ("slack token", "", "xoxp-" + "2345678901-2345678901-" + drawn(32), ""),
    ("slack token", "", "xapp-1-" + upper(11) + "-" + hexes(40), ""),
    ("slack webhook", "https://hooks.slack.com/services/", "T" + upper(9) + "/B" + upper(9) + "/" + drawn(24), ""),
    ("discord webhook", "https://discord.com/api/webhooks/", "123456789012345678/" + drawn(68), ""),
    ("google key", "maps?key=", "AIza" + drawn(35), "&q=x"),
    ("google token", "", "ya29." + drawn(60), ""),
    ("google client secret", "", "GOCSPX-" + drawn(28), ""),
    ("stripe key", "charge with ", "sk_live_" + drawn(24), ""),
    ("stripe key", "", "rk_test_" + drawn(24), ""),
    ("stripe key", "signing ", "whsec_" + drawn(32), ""),
    ("npm token", "//registry.example.com/:_authToken=", "npm_" + drawn(36), ""),
    ("pypi token", "twine -p ", "pypi-AgEIcHlwaS5vcmc" + drawn(60), ""),
    ("huggingface token", "login ", "hf_" + drawn(34), ""),
    ("telegram bot token", "https://api.telegram.org/bot123456789:", "AA" + drawn(33), "/getMe"),
    ("twilio key", "sid ", "SK" + hexes(32), ""),
    ("sendgrid key", "mail: ", "SG." + drawn(22) + "." + drawn(43), ""),
    ("azure key", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=", drawn(86) + "==", ";EndpointSuffix=x"),
    ("azure key", "SharedAccessKeyName=Root;SharedAccessKey=", drawn(43) + "=", ""),
    ("azure key", "https://a.blob.example/c?sv=2024&sig=", drawn(40) + "%3D", "&se=1"),
    ("shopify token", "", "shpat_" + hexes(32), ""),
    ("digitalocean token", "", "dop_v1_" + hexes(64), ""),
    ("databricks token", "", "dapi" + hexes(32), ""),
    ("docker token", "docker login -p ", "dckr_pat_" + drawn(27), ""),
    ("vault token", "VAULT ", "hvs." + drawn(90), ""),
    ("groq key", "", "gsk_" + drawn(52), ""),
    ("xai key", "grok: ", "xai-" + drawn(80), ""),
    ("perplexity key", "", "pplx-" + drawn(48), "\n"),
    ("replicate token", "with ", "r8_" + drawn(37), " it runs"),
    ("notion token", "", "ntn_" + drawn(46), ""),
    ("linear key", "curl -H '", "lin_api_" + drawn(40), "'"),
    ("supabase token", "", "sbp_" + hexes(40), ""),
    ("grafana token", "for ", "glsa_" + drawn(32) + "_" + hexes(8), " only"),
    ("new relic key", "", "NRAK-" + upper(27), ""),
    ("postman key", "", "PMAK-" + hexes(24) + "-" + hexes(34), ""),
    ("airtable token", "base ", "pat" + drawn(14) + "." + hexes(64), ""),
    ("figma token", "", "figd_" + drawn(40), ""),
    ("sentry token", "", "sntrys_" + drawn(60), ""),
    ("json web token", "cookie session=", web_token(), "; path=/"),
    ("json web token", "cut off: ", web_token().rsplit(".", 1)[0], " ..."),
    ("authorization", "curl -H 'Authorization: Bearer ", drawn(32), "' https://a.example"),
    ("authorization", "Authorization: Basic ", base64.b64encode(b"ann:open-sesame").decode(), ""),
    ("authorization", '{"authorization": "token ', hexes(40), '"}'),
    ("bearer token", "sent bearer ", drawn(40), " twice"),
    ("private key", "", f"-----BEGIN {RSA}-----\n{LINES}\n-----END {RSA}-----", "\nthanks"),
    ("private key", "key:\n", f"-----BEGIN {SSH}-----\n{LINES}\n" + "abc=", "\n\nthis was cut off"),
    ("private key", '{"k": "', f"-----BEGIN PRIVATE KEY-----\\n{drawn(64)}\\n-----END PRIVATE KEY-----", '\\n"}'),
    ("private key", "the end of it: ", f"{LINES}\n-----END {SSH}-----", " was pasted"),
    ("private key", "", f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{LINES}\n-----END PGP PRIVATE KEY BLOCK-----", ""),
    ("password", "postgres://bob:", "s3cr3t!", "@db.example:5432/app"),
    ("password", "see https://ann:", "password", "@host.example/x"),
    ("password", "redis://:", "hunter2", "@localhost:6379"),
    ("password", "password = ", "hunter2", ""),
    ("password", "DB_PASSWORD=", "correcthorse", "\nDB_HOST=x"),
    ("password", 'config: {"password": "', "swordfish", '", "user": "ann"}'),
    ("password", "DB_PASS=", "Tr0ub4dor", "\n"),
    ("password", "mysql --user=x --password ", "geheim99", ""),
    ("password", "curl -sS -u ann:", "opensesame", " https://a.example"),
    ("password", "curl -u ann:", "opensesame", " https://a.example"),
    ("password", "curl https://a.example --user 'ann:", "s3cr3t!", "'"),
    ("password", "docker login -u ann -p ", "Tr0ub4dor", " registry.example"),
    ("password", "helm registry login --username ann -p '", "Tr0ub4dor", "' registry.example"),
    ("password", "FROM base\nENV DB_PASS ", "kGldXHOJBAYPSr", "\nRUN make"),
    ("password", 'ENV MYSQL_ROOT_PASSWORD "', "opensesame", '"'),
    ("password", "mysqldump -u root -p", "geheim99", " shop > shop.sql"),
    ("password", "machine a.example login ann password ", "Tr0ub4dor", "\n"),
    ("password", "<password>", "opensesame", "</password>"),
    ("password", "my password is ", "Tr0ub4dor&3", ", do not tell"),
    ("password", "Das Passwort lautet ", "Sommer2024!", " für alle."),
    ("password", "Contraseña: ", "gato1234", ""),
    ("password", "пароль: ", "qwerty123", ""),
    ("password", "密码是", "abc12345", "。"),
    ("password", "le mot de passe est ", "azerty77", " ici"),
    ("token", 'api_key: "', drawn(32), '"'),
    ("token", "client_secret=", drawn(40), "&grant=x"),
    ("token", "TWILIO_AUTH_TOKEN=", hexes(32), ""),
    ("token", '"accessToken" : "', drawn(24), '",'),
    ("token", "X-Api-Key: ", hexes(32), ""),
    ("token", "the API key is ", drawn(28), ""),
    ("token", "HEROKU_API_KEY=", "12345678-1a2b-4c3d-8e9f-0a1b2c3d4e5f", ""),
    ("mailgun key", "our key: ", "key-" + hexes(32), " works"),
    ("mailchimp key", "MAILCHIMP=", hexes(32) + "-us14", ""),
    ("facebook token", "fb ", "EAA" + drawn(90), ""),
    ("pulumi token", "", "pul-" + hexes(40), " login"),
    ("doppler token", "", "dp.pt." + drawn(43), ""),
    ("terraform token", "in ~/.terraformrc: ", drawn(14) + ".atlasv1." + drawn(64), ""),
    ("fly token", "", "fo1_" + drawn(43), ""),
    ("planetscale token", "db: ", "pscale_tkn_" + drawn(43), ""),
    ("brevo key", "", "xkeysib-" + hexes(64) + "-" + drawn(16), ""),
    ("okta token", "Authentication: ", "SSWS 00" + drawn(40), ""),
    ("tailscale key", "up --authkey ", "tskey-auth-" + drawn(12) + "-" + drawn(30), ""),
    ("teams webhook", "https://a.webhook.office.com/webhookb2/", hexes(36) + "@" + hexes(36), "/IncomingWebhook/x"),
    ("private key", "client-key-data: ", "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo" + drawn(90), "\n"),
    ("private key", "Private-Lines: 2\n", drawn(64) + "\n" + drawn(40), "\nPrivate-MAC: 12"),
    ("cookie", "Set-Cookie: theme=dark; sessionid=", drawn(32), "; HttpOnly"),
    ("password", "db.example:5432:app:bob:", drawn(16), "\n"),
    ("password", "sshpass -p ", "Qwerty!234", " ssh root@a.example"),
    ("password", "ALTER USER app WITH PASSWORD '", "S3cure#11", "';"),
    ("password", "CREATE USER app IDENTIFIED BY '", "S3cure#11", "'"),
    ("password", '<add key="ClearTextPassword" value="', "opensesame", '" />'),
    ("password", "DB_PASSWORD_PROD=", "opensesame", "\n"),
    ("password", "my gmail pw is ", "Fluffy!2019", " pls remember"),
    ("password", "la clave del wifi es ", "G4t0Negro!", ""),
    ("password", "le mot de passe du serveur est : ", "Ch@ton77x", ""),
    ("password", "the password for the guest room is now ", "Fluffy!2019", ", thanks"),
    ("token", 'SECRET_KEY = "', "django-$h(" + drawn(30) + ")&", '"'),
    ("token", "APP_KEY=", "base64:" + drawn(43) + "=", "\n"),
    ("token", "ALGOLIA_ADMIN_KEY=", hexes(32), ""),
    ("token", "the app secret value: ", "abc8Q~" + drawn(34), ""),
    ("token", "client_secret=", "xK9!pQ2#vT7z", "&x=1"),
    ("token", 'login(api_key="', "Zq!9kLm7#v", '")'),
    ("payment card", "paid with ", "4111 1111 1111 1111", " today"),
    ("payment card", "amex ", "3782-822463-10005", ""),
    ("payment card", "card number ", "5555555555554444", ""),
]

HARMLESS = [
    "the password is changed weekly",
    "The password must be at least 12 characters long and contain a digit.",
    "Password: required",
    "password: please enter it twice",
    "password = getpass.getpass()",
    "password=os.environ['DB_PASSWORD']",
    "password = None",
    "password: str",
    'login(user, password="", retries=3)',
    "password: ${DB_PASSWORD}",
    "password: '********'",
    '"password": "<your password>"',
    "the passwords are stored as salted hashes",
    "Passwort vergessen? Klicken Sie hier.",
    "das Passwort ist abgelaufen",
    "la contraseña es obligatoria",
    "forgot my password, reset it to what it was",
    "a passport is not a password",
    "passing=0.93, compass: north",
    "import sk-learn is wrong, write scikit-learn",
    "sk-learn",
    "task-force-alpha-team-one-two-three",
    "sk-estimator-check-for-linear-models-v2",
    "risk-assessment-of-the-2024-annual-report",
    "desk-organiser-with-12-compartments-and-3-drawers",
    "123e4567-e89b-12d3-a456-426614174000",
    "request id: 0b5c1f7e-5a43-4f5e-9d1a-0f2d8e6c7b9a failed",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "merge 3f2a91c into main",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "md5 5d41402abc4b2a76b9719d911017c592",
    "cache_key = user-profile-page-v2-2024-01",
    "primary key: customer_id, order_id",
    "cache key: 5d41402abc4b2a76b9719d911017c592",
    "keyboard: model K380, color grey",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4",
    "order number 4711-0815-2024-0001",
    "order 1234 5678 9012 3456 shipped",
    "invoice INV-2024-000017, customer C-9918273645",
    "ISBN 978-3-16-148410-0",
    "ISBN 9780306406157",
    "IBAN DE89 3704 0044 0532 0130 00",
    "call +49 170 1234567 or 0900-555-123",
    "tracking 1Z999AA10123456784",
    "4111111111111111",
    "max_tokens = 4096",
    "token_count: 12345678901234",
    "tokens: 128000, temperature: 0.7",
    "the token is a word piece",
    "tokenizer: all-MiniLM-L6-v2-tokenizer",
    "secret_name: my-database-credentials-prod-1",
    "The Secret Garden is a novel of 1911",
    "the secret is to fry the onions slowly",
    "author: Jane Austen, authority: county-council-2024",
    "api_key: YOUR_API_KEY",
    "api_key = os.environ['OPENAI_API_KEY']",
    "client_secret: {{ vault.client_secret_2024 }}",
    "bearer of good news and bad news",
    "the ring bearer documentation2024guide",
    "Authorization: required",
    "Authorization: see section 4.2",
    "https://localhost:8080/path@2x.png",
    "mailto:ann@firm.example, http://a.example:80/b",
    "git@github.com:acme/tool.git",
    "postgres://bob:${PASSWORD}@db.example/app",
    "eyJ is how JSON web tokens begin",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END CERTIFICATE-----",
    "hf_hub_download and npm_config_registry are names",
    "ghp_ tokens start so, gh_pages too",
    "SKU SK1234567 costs 12.50",
    "the ratio was 12345678:AA in the table",
    "card games with 52 cards, 4 players",
    "Visa application 2024, form 1234567890123456",
    "signature=none&sig=short",
    "curl -u ann https://a.example/x:y then type it",
    "curl -u ann:$TOKEN https://a.example",
    "postgres://user:password@localhost/db, mysql://username:password@db.example:3306/shop",
    "ssh login -p 2222, docker login -u ann -p $TOKEN",
    "ENV DB_PASSWORD_FILE /run/secrets/db\nENV DB_PASS $DB_PASS\nENV PASSWORD is what it was called before",
    "mysql -h db -P 3306 -p shop; mysqld -print-defaults",
    "on the login page password rules apply",
    "the path patterns.2024 and r8_notes, glsa_x, sbp_1",
    "2024-11-21T06:05:12.123456+00:00 level=info msg=started",
    "Bearer BondsSeries2024A matured",
    "Please send the password to security-team@example.co.uk. Thanks",
    "token: Llama-3.1-8B-Instruct-Q4",
    "token: claude-3-5-sonnet-20241022",
    "The password for the workshop is handed out at the door on day2.",
    "la clave del problema es la fase3-previa de calibración",
    "pw: siehe Anlage 3",
    "mdp 2024 conference on decisions, PW 38",
    "Set-Cookie: theme=dark; lang=en-GB; Path=/",
    "Cookie: consent=accepted2024; ab_test=variant-b7",
    "PRIMARY_KEY=customer_orders_2024_v2_idx9",
    "CACHE_KEY=5d41402abc4b2a76b9719d911017c592",
    "secret_key = generate_secret_key(length=64)",
    "api_key = load_settings2().api_key",
    "api_key=sandbox-environment-2024",
    "client secret: rotate every 90days",
    "the us-east-1 region, us12 and eu-us3",
    "dp.pt stands for data product, part 2024",
    '<input name="password" value="" placeholder="At least 8">',
    "ALTER USER bob WITH PASSWORD NULL; identified by 'name'",
    "password policy v2.1 is on page 14 of ISO27001-2022",
    "db.host:5432:app",
    "auth token: see RFC6750 section 2.1",
    "the sentence 'SSWS 0012' is a header, webhookb2/ a path",
    "Private-Lines: 14 of the old format",
    "password 'required' is not filled",
]


@pytest.mark.parametrize(
    ("kind", "before", "secret", "after"), SECRETS, ids=[f"{n}-{s[0]}" for n, s in enumerate(SECRETS)]
)
def test_secrets_are_replaced_and_what_surrounds_them_stays(kind: str, before: str, secret: str, after: str) -> None:
    assert masked(before + secret + after) == f"{before}[secret: {kind}]{after}"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("kind", "before", "secret", "after"), SECRETS, ids=[f"{n}-{s[0]}" for n, s in enumerate(SECRETS)]
)
def test_masking_twice_changes_nothing(kind: str, before: str, secret: str, after: str) -> None:
    once = masked(f"{before}{secret}{after}")
    assert masked(once) == once


def test_several_secrets_in_one_text_are_all_replaced() -> None:
    text = f"AKIA{upper(16)},{drawn(40)}\npassword=hunter2; also ghp_{drawn(36)} and ghp_{drawn(36)}"
    expected = "[secret: aws access key],[secret: aws secret key]\npassword=[secret: password]; also "
    assert masked(text) == expected + "[secret: github token] and [secret: github token]"


def test_secrets_that_overlap_are_masked_as_one() -> None:
    key = f"-----BEGIN PRIVATE KEY-----\n{drawn(20)}/AKIA{upper(16)}/{drawn(40)}\n-----END PRIVATE KEY-----"
    assert masked(f"AccountKey={web_token()}; {key} x") == "AccountKey=[secret: azure key]; [secret: private key] x"


def test_characters_that_grow_in_lower_case_do_not_move_the_mask() -> None:
    assert masked("İİİ password = hunter2") == "İİİ password = [secret: password]"


PIECES = (
    [secret for _, _, secret, _ in SECRETS] + [b for _, b, _, _ in SECRETS] + ["=", ": ", '"', "@", "://", " ", "\n"]
)


@settings(max_examples=1000)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=12))
def test_masking_any_mixture_twice_changes_nothing(pieces: list[str]) -> None:
    once = masked("".join(pieces))
    assert masked(once) == once


@given(st.text(alphabet=string.ascii_lowercase + " .,", max_size=300))
def test_plain_words_stay(text: str) -> None:
    assert masked(text) == text


HOSTILE = [
    "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "A" * 63 + "\n", "-", "eyJ", "eyJaaaaaaaaaa.", "sk-", "://a:",
    "password ", "password=", 'password="', "secret key ", "api_key_", "4111 ", "4111 1111 1111 1111 ", "bearer ",
    "AKIA" + "A" * 16, "Authorization:", "a.", "hooks.slack.com/a/", "1:AA", "card 1", "SG.aaaaaaaaaaaaaaaa.", "\\n",
    "curl ", "curl -u a:", "mysql ", "mysql -p", "login a password ", "login ", "cookie: ", "cookie: a=b;",
    "cookie: sess", "_KEY=", "secret_key=", "api_key='", "password for a ", "clave de ", "password 'a", "-us", "a1-us1",
    "identified by '", "sshpass -p", ":5432:a:b:", "Private-Lines: 2\n", "LS0tLS1CRUdJTiBSU0Eg",
    "pat" + "A" * 14 + ".", "glsa_",
]  # fmt: skip


def seconds(text: str) -> float:
    started = time.process_time()
    masked(text)
    return time.process_time() - started


@pytest.mark.parametrize("unit", HOSTILE)
def test_time_grows_no_faster_than_the_text(unit: str) -> None:
    small, large = unit * (60_000 // len(unit)), unit * (480_000 // len(unit))
    seconds(small)
    shortest = min(seconds(small) for _ in range(3))
    assert min(seconds(large) for _ in range(2)) < 8 * 3 * shortest + 0.05


def long(count: int) -> str:
    return "".join(random.Random(count).choices(string.ascii_letters + string.digits + "+", k=count))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"aws_session_token = {long(400)}", "aws_session_token = [secret: token]"),
        (f"token={long(3000)}.", "token=[secret: token]."),
        (f"password: {long(160)}", "password: [secret: password]"),
        (f"the password is {long(400)}, and more", "the password is [secret: password], and more"),
        (f"https://aws:{long(900)}@host/", "https://aws:[secret: password]@host/"),
    ],
)
def test_a_long_secret_is_masked_to_its_end(text: str, expected: str) -> None:
    assert masked(text) == expected


PASSWORD, TOKEN = "[secret: password]", "[secret: token]"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"client_secret": "xK9!pQ2#vT7z"}, {"client_secret": TOKEN}),
        ({"api_key": "A7dK29sLq0"}, {"api_key": TOKEN}),
        ({"apiKey": "abcdefghijklmnopqrstuvwxyz"}, {"apiKey": TOKEN}),
        ({"token": "q7#Lm!x9Rt"}, {"token": TOKEN}),
        ({"db_password_prod": "opensesame"}, {"db_password_prod": PASSWORD}),
        ({"password": "correct horse battery staple"}, {"password": PASSWORD}),
        ({"password": 98765432}, {"password": PASSWORD}),
        ({"password": {"value": "opensesame"}}, {"password": {"value": PASSWORD}}),
        ({"passwords": {"wifi": "Tr0ub4dor"}}, {"passwords": {"wifi": PASSWORD}}),
        ({"credentials": {"user": "bob", "pass": "Tr0ub4dor"}}, {"credentials": {"user": "bob", "pass": PASSWORD}}),
        ({"secrets": ["bob", "Tr0ub4dor&3"]}, {"secrets": ["bob", TOKEN]}),
        ({"name": "password", "value": "opensesame"}, {"name": "password", "value": PASSWORD}),
        ({"element": "Password field", "text": "opensesame"}, {"element": "Password field", "text": PASSWORD}),
        (
            {"headers": [{"name": "Authorization", "value": "Basic YWRtaW46UzNjcmV0"}, ["Cookie", "a=b"]]},
            {"headers": [{"name": "Authorization", "value": "Basic [secret: authorization]"}, ["Cookie", "a=b"]]},
        ),
        ({"argv": ["login", "--password", "opensesame"]}, {"argv": ["login", "--password", PASSWORD]}),
        ({"argv": ["mysql", "-u", "root", "-pgeheim99"]}, {"argv": ["mysql", "-u", "root", f"-p{PASSWORD}"]}),
        ({"argv": ["curl", "-u", "ann:opensesame", "a.b"]}, {"argv": ["curl", "-u", f"ann:{PASSWORD}", "a.b"]}),
        ({"arguments": '{"password": 98765432}'}, {"arguments": f'{{"password": "{PASSWORD}"}}'}),
    ],
)
def test_a_name_in_json_speaks_for_the_value_beside_it(value: Any, expected: Any) -> None:
    assert masked_within(value) == expected
    assert masked_within(expected) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"password": ["This field is required."], "errors": {"password": "is too short"}},
        {"password": {"type": "string", "minLength": 8, "title": "Password", "description": "of the user"}},
        {"password": True, "password_length": 1200, "password_hint": "name of the 1st pet", "passwordless": "yes-2024"},
        {"password": "ask Bob", "pass": "12/15 tests", "passport": "C01X00T478", "pass_rate": 0.93},
        {"max_tokens": 4096, "tokens": 128000, "token": {"id": 101, "text": "Berlin2024"}},
        {"tokens": ["the", "cat", "unhappi-ness", "cat2"]},
        {"auth": {"type": "oauth2", "user": "bob1984xyz", "url": "https://a.example/x1y2z3"}},
        {"api_key": "OPENAI_API_KEY", "private_key": "/home/bob/.ssh/id_ed25519", "access_key": "see section 4"},
        {"name": "password", "type": "string", "required": True, "text": "Enter your password"},
        {"fields": ["password", "email"], "secretary": "Ann-2024-xy9", "credential_id": "id-12345-abcde"},
        {"argv": ["git", "commit", "-m", "reset the password"], "more": ["--max-tokens", "4096"]},
        {"key": "customer-4711-eu", "value": "Anna Smith", "cache_key": "5d41402abc4b2a76b9719d911017c592"},
        {"arguments": '{"order":  7, "password": null}', "deep": "[" * 9000 + "]" * 9000},
    ],
)
def test_a_name_that_speaks_of_something_else_leaves_json_as_it_is(value: Any) -> None:
    assert masked_within(value) == value


@pytest.mark.parametrize("deep", [100, 5_000])
def test_what_is_nested_however_deeply_is_masked(deep: int) -> None:
    value: Any = {"password": "tR7!kq9Zp", "note": "log in with user:tR7!kq9Zp@example.org"}
    for _ in range(deep):
        value = [value, 1]
    found = masked_within(value)
    for _ in range(deep):
        found, one = found
        assert one == 1
    assert found == {"password": "[secret: password]", "note": masked("log in with user:tR7!kq9Zp@example.org")}


def test_metadata_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop += [loop, {"again": loop}]
    with Memory.open(":memory:", embedder="hash") as memory, pytest.raises(Misuse):
        memory.insert("x", metadata={"loop": loop})
