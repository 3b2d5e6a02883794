"""`backtest gc --store s3://...`: the models of a bot's bucket are found as those of its folder are."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest.commands.gc import models_in
from tests.support.s3_kit import Bucketry
from trader.adapters.store_local import LocalStore
from trader.core.errors import ConfigError, DataError


def test_models_in_a_bucket_are_those_of_the_folder(
    traded: Path, server: Bucketry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each card of two models is read, page by page; a bucket that is not there is named with the way out."""
    bucket, client, folder = server.bucket(), server.client(), LocalStore(traded)
    for key in folder.list("models/"):
        client.put_object(Bucket=bucket, Key=f"bot/{key}", Body=folder.get(key))
    monkeypatch.setattr("backtest.commands.gc._PAGE", 2)
    monkeypatch.setenv("TRADER_S3_ENDPOINT_URL", server.url)
    monkeypatch.setenv("TRADER_S3_REGION", "us-east-1")
    found = models_in(f"s3://{bucket}/bot")
    assert found == models_in(str(traded))
    assert len(found) == 2
    with pytest.raises(ConfigError, match="there is no such bucket"):
        models_in("s3://nobody-has-this/bot")
    with pytest.raises(
        DataError, match="is no folder; give the folder of a bot's store, or s3://bucket/prefix"
    ):
        models_in(str(traded / "nowhere"))
