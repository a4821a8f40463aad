"""Tokens that begin as their provider has them begin. The table is data: a line a format."""

import re

from outerloop.runtime.secrets.detector import Detector

_AHEAD = re.compile(r"\(\?=.*?\)")  # is for the pattern alone


def _token(name: str, prefix: str, alphabet: str, least: int, most: int | str = "") -> Detector:
    """A token that begins with `prefix` and goes on with at least `least` characters of `alphabet`."""
    pattern = rf"(?<![A-Za-z0-9_]){prefix}[{alphabet}]{{{least},{most}}}(?![{alphabet}])"
    hint = rf"{re.sub(_AHEAD, '', prefix)}[{alphabet}]{{{least}}}"
    return Detector(name, hint.encode(), re.compile(pattern.encode()))


_WORD, _URL, _HEX, _B64 = "A-Za-z0-9", r"A-Za-z0-9_\-", "0-9a-f", "A-Za-z0-9+/"
TOKENS = (
    _token("anthropic-key", "sk-ant-(?:api|admin|oat|ort|sid)[0-9]{2}-", _URL, 24),
    _token("openai-key", "sk-(?:proj|svcacct|admin|service|None)-", _URL, 24),
    _token("openai-key", r"sk-(?=[A-Za-z]*[0-9])", _WORD, 32, 64),
    _token("openrouter-key", "sk-or-v1-", _HEX, 64),
    _token("groq-key", "gsk_", _WORD, 40),
    _token("huggingface-token", "hf_", _WORD, 30),
    _token("replicate-token", "r8_", _WORD, 35),
    _token("perplexity-key", "pplx-", _WORD, 40),
    _token("xai-key", "xai-", _WORD, 60),
    _token("google-key", "AIza", _URL, 35, 35),
    _token("google-oauth", r"ya29\.", _URL, 30),
    _token("google-secret", "GOCSPX-", _URL, 24),
    _token("langfuse-key", "[sp]k-lf-", r"0-9a-f\-", 36, 36),
    _token("langsmith-key", "lsv2_[sp][kt]_", r"0-9a-f_", 40),
    _token("tavily-key", "tvly-", _URL, 20),
    _token("aws-key", "(?:AKIA|ASIA|ABIA|ACCA)", "A-Z2-7", 16, 16),
    _token("aws-bedrock-key", "ABSK", _B64, 100),
    _token("github-token", "gh[oprsu]_", _WORD, 36),
    _token("github-token", "github_pat_", r"A-Za-z0-9_", 60),
    _token("gitlab-token", "gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat)-", _URL, 20),
    _token("slack-token", "xox[abeoprs]-", r"A-Za-z0-9.\-", 12),
    _token("slack-token", "xapp-[0-9]-", r"A-Za-z0-9\-", 20),
    _token("slack-webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/", r"A-Za-z0-9+/", 36),
    _token("stripe-key", "[rs]k_(?:live|test|prod)_", _WORD, 16),
    _token("stripe-secret", "whsec_", r"A-Za-z0-9+/=", 24),
    _token("npm-token", "npm_", _WORD, 36, 36),
    _token("pypi-token", "pypi-AgE", _URL, 50),
    _token("docker-token", "dckr_(?:pat|oat)_", _URL, 27),
    _token("digitalocean-token", "do[opr]_v1_", _HEX, 64),
    _token("databricks-token", "dapi", _HEX, 32),
    _token("linear-key", "lin_api_", _WORD, 40),
    _token("notion-token", "ntn_", _WORD, 40),
    _token("shopify-token", "shp(?:at|ca|pa|ss|ua)_", "0-9A-Fa-f", 32),
    _token("atlassian-token", "ATATT3", r"A-Za-z0-9_=\-", 100),
    _token("vault-token", r"hv[brs]\.", _URL, 24),
    _token("grafana-token", "glsa_", r"A-Za-z0-9_", 41),
    _token("grafana-token", "glc_", r"A-Za-z0-9+/=", 40),
    _token("newrelic-key", "NRAK-", "A-Z0-9", 27),
    _token("sentry-token", "sntry[su]_", r"A-Za-z0-9_+/=\-", 40),
    _token("sendgrid-key", r"SG\.[A-Za-z0-9_\-]{20,24}\.", _URL, 39),
    _token("planetscale-token", "pscale_(?:pw|tkn|oauth)_", r"A-Za-z0-9_.=\-", 32),
    _token("postman-key", "PMAK-", r"0-9a-f\-", 50),
    _token("square-token", "sq0(?:atp|csp|idp)-", _URL, 22),
    _token("airtable-token", r"pat[A-Za-z0-9]{14}\.", _HEX, 64),
    _token("figma-token", "fig[dou]_", _URL, 40),
    _token("supabase-token", "sb(?:p|_secret)_", _URL, 20),
    _token("doppler-token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", _WORD, 40),
    _token("age-key", "AGE-SECRET-KEY-1", "A-Z0-9", 58, 58),
    _token("azure-key", "AccountKey=", _B64 + "=", 60),
    _token("azure-key", "SharedAccessKey=", _B64 + "=", 40),
)
