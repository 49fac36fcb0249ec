"""Secrets that a site file names as Prefect blocks, over a real server."""

from __future__ import annotations

import pytest
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from pydantic import SecretStr, ValidationError

from blocks import NoticeChannels, read_secret
from mopflow.channels import channels_of
from mopflow.errors import SecretMissing, Unreachable
from mopflow.messages import Tag
from mopflow.secrets import SecretRef, Vault

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("in_prefect")]


@pytest.mark.parametrize("password", ["Po1icy-Secret", "0123456", '{"a": 1}'])
def test_a_password_comes_back_as_it_was_stored(password: str) -> None:
    Secret(value=password).save("cmp-password", overwrite=True)
    vault = Vault(read_secret)
    assert vault.get(SecretRef(block="cmp-password")).get_secret_value() == password
    assert read_secret("secret/cmp-password").get_secret_value() == password
    assert vault.strike(f"({password})") == "(********)"


def test_channels_are_named_one_by_one_or_all_together_with_their_tags() -> None:
    urls = [SecretStr("json://a:token-1@host/x"), SecretStr("json://a:token-2@host/x")]
    NoticeChannels(urls=urls, tags=["Duty, manager"]).save("ops", overwrite=True)
    NoticeChannels(urls=urls[:1]).save("one", overwrite=True)
    assert read_secret("notice-channels/ops#2") == urls[1]
    assert read_secret("notice-channels/one") == urls[0]
    all_of_them = channels_of(read_secret("notice-channels/ops"), (), "ops")
    assert [(channel.url, channel.tags) for channel in all_of_them] == [
        (urls[0], {Tag.DUTY, Tag.MANAGER}),
        (urls[1], set()),
    ]
    for name in (
        "notice-channels/ops#3",
        "notice-channels/ops#0",
        "notice-channels/ops#x",
    ):
        with pytest.raises(SecretMissing, match="#1 to #2") as caught:
            read_secret(name)
        assert "token" not in str(caught.value)


@pytest.mark.parametrize("name", ["nobody-made-this", "notice-channels/nor-this", "slack-webhook/ops"])
def test_a_block_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(SecretMissing, match=name):
        read_secret(name)


def test_a_secret_that_is_no_text_is_refused() -> None:
    Secret(value={"user": "admusr"}).save("not-a-text", overwrite=True)
    with pytest.raises(SecretMissing, match="not a text"):
        read_secret("not-a-text")


def test_a_server_that_is_gone_is_not_a_missing_block() -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        with pytest.raises(Unreachable, match="Prefect's server"):
            read_secret("cmp-password")


@pytest.mark.parametrize("tags", [["dutty"], ["duty", "manager"]])
def test_tags_that_cannot_be_meant_are_refused(tags: list[str]) -> None:
    with pytest.raises(ValidationError, match=r"dutty is no tag|at most one per URL"):
        NoticeChannels(urls=[SecretStr("json://host")], tags=tags)


@pytest.mark.parametrize("block", [NoticeChannels])
def test_a_person_who_fills_in_a_block_is_told_what_belongs_where(block: type[Block]) -> None:
    assert block.get_description()
    assert 'load("BLOCK_NAME")' in (block.get_code_example() or "")
    for name, field in block.model_fields.items():
        assert field.description, name
        assert field.description.endswith(".")
