"""What trackers are told, the same for each of them: figures of an hour, files of an order, a study. Every step may be
repeated.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trader.adapters.tables import write_csv
from trader.app.codec_events import FORMATS
from trader.core.events import AnyEvent, ChampionEvent, Event, StudyEvent
from trader.core.model import own_card
from trader.core.news import News
from trader.core.records import HourRecord
from trader.core.study import best_trial, flat, searched, study_key, study_stamp
from trader.core.text import visible, write_csv_rows
from trader.core.tracking import Point, Title, TrackerBackend, group_of
from trader.core.types import HOUR_MS, Json, iso

# What a chart and a table after an order reach back.
TABLE_HOURS = 200


class TrackerObserver:
    """Tells a tracker about hours, orders, events and studies."""

    def __init__(self, backend: TrackerBackend) -> None:
        self.name = backend.name
        self._backend = backend

    def observe(self, news: News) -> None:
        """One run for the deployment, one for each study. Safe to repeat."""
        group = group_of(news.symbol, news.edition)
        with self._backend.run(deployment_title(news, group)) as run:
            run.settings({"symbol": news.symbol, "first_hour": iso(news.began), "store": news.store_id})
            run.series([*points(news)])
            for path, data in files(news):
                run.file(path, data)
        for event in news.events:
            if isinstance(event.content, StudyEvent):
                self._study(news, group, event.content.study_id)
            elif isinstance(event.content, ChampionEvent):
                self._best_model(news, group, event.content.model_id)

    def _study(self, news: News, group: str, study_id: str) -> None:
        report = _json(news, study_key(study_id))
        if report is None:
            return
        chosen = best_trial(report)
        with self._backend.run(study_title(news, group, report)) as run:
            run.settings({visible(key): visible(str(value)) for key, value in flat(chosen["params"]).items()})
            run.settings({"objective": visible(report["objective"]), "trials": str(len(report["trials"]))})
            run.series([*trial_points(report)])
            for path, data in study_files(report):
                run.file(path, data)

    def _best_model(self, news: News, group: str, model_id: str) -> None:
        """A champion belongs to the study that serves from the same hour with the same parameters."""
        card = _json(news, f"models/{model_id}/card")
        prefix = f"studies/{study_stamp(card['valid_from'])}-" if card else ""
        for key in news.store.list(prefix) if card else []:
            report = _json(news, key)
            if card and report and best_trial(report)["params"] == card["params"]:
                with self._backend.run(study_title(news, group, report)) as run:
                    for path, data in model_files(news, model_id, "best_model"):
                        run.file(path, data)


def deployment_title(news: News, group: str) -> Title:
    """The run of everything that this deployment traded."""
    key = _key(f"{news.store_id}-{iso(news.began)[:13]}-{news.edition}")
    return Title(group, key, f"{news.symbol} since {iso(news.began)[:13]}", news.began)


def _key(text: str) -> str:
    """What tells runs apart, without the marks that mean something in a tracker's query."""
    return re.sub(r"[^A-Za-z0-9:_.-]", "_", text)


def study_title(news: News, group: str, report: Mapping[str, Any]) -> Title:
    """The run of a study."""
    name = visible(f"study {report['id']}")
    return Title(
        group,
        _key(f"{news.store_id}-{report['id']}-{news.edition}"),
        name,
        report["serve_from"],
        finished=True,
    )


def measures(record: HourRecord, before: HourRecord | None) -> dict[str, float]:
    """Figures of a closed hour: hourly_return is simple, against the hour before (the allocation for the first);
    exposure is the position's worth over equity; hit_rate is that of all predictions scored so far; p_up is missing where
    nothing was predicted."""
    line, totals = record.line, record.totals
    equity = line.equity
    earlier = before.line.equity if before else record.risk.base_equity
    figures = {
        "equity_usdt": float(equity),
        "hourly_return": float(equity / earlier - 1) if earlier else 0.0,
        "exposure": float(record.ledger.position * record.mark / equity) if equity else 0.0,
        "close": float(record.close),
        "fees_usdt": float(record.ledger.fees_usdt),
    }
    if line.p_up is not None:
        figures["p_up"] = line.p_up
    if totals.scored:
        figures["hit_rate"] = totals.hits / totals.scored
    return figures


def points(news: News) -> Iterator[Point]:
    """The figures of all told hours, step = hours since the deployment's first."""
    before = next(iter(news.past(1)), None) if news.records else None
    for record in news.records:
        hour = record.close_time
        for name, value in measures(record, before).items():
            yield Point(name, value, (hour - news.began) // HOUR_MS, hour)
        before = record


def files(news: News) -> Iterator[tuple[str, bytes]]:
    """After each order a chart as image and as page, and the last hours as a table; models and events as they are."""
    orders = [i for i, record in enumerate(news.records) if record.line.order_side]
    if orders:
        known = [*news.past(TABLE_HOURS - 1), *news.records]
        offset = len(known) - len(news.records)
        for i in orders:
            seen = known[: offset + i + 1][-TABLE_HOURS:]
            yield from order_files(news.symbol, seen)
    for event in news.events:
        yield f"events/{event.name}-{event.number:06d}.json", _text(_shown(event))
        if isinstance(event.content, ChampionEvent):
            model_id = event.content.model_id
            yield from model_files(news, model_id, f"models/{model_id}")


def order_files(symbol: str, records: Sequence[HourRecord]) -> Iterator[tuple[str, bytes]]:
    """Chart and table of consecutive hours, the last of which gave an order."""
    from trader.observers.charts import equity_and_price

    line = records[-1].line
    folder = f"orders/{iso(line.close_time)[:13]}-{line.order_side}"
    image, page = equity_and_price(symbol, records)
    yield f"{folder}/equity-and-price.png", image
    yield f"{folder}/equity-and-price.html", page
    table = io.StringIO()
    write_csv(table, [record.line for record in records])
    yield f"{folder}/last-{TABLE_HOURS}-hours.csv", table.getvalue().encode()


def model_files(news: News, model_id: str, folder: str) -> Iterator[tuple[str, bytes]]:
    """A published model, named by its format, and its card."""
    folder_of = f"models/{model_id}"
    model, text = news.store.get(f"{folder_of}/model"), news.store.get(f"{folder_of}/card")
    if model is not None and text is not None:
        card = own_card(text, model, model_id, f"{folder_of}/card")
        yield f"{folder}/model.{card.format}", model
        yield f"{folder}/card.json", _text(json.loads(text))


def trial_points(report: Mapping[str, Any]) -> Iterator[Point]:
    """The value of each trial that has one, and the best so far."""
    best = None
    for trial in report["trials"]:
        if trial["value"] is None:
            continue
        best = trial["value"] if best is None else max(best, trial["value"])
        yield Point("value", trial["value"], trial["number"], report["serve_from"])
        yield Point("best_value", best, trial["number"], report["serve_from"])


def study_files(report: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The trials as a table and as they are; history, importance and parallel coordinates as images and as pages."""
    from trader.observers.charts import study_charts

    yield "trials.csv", trials_csv(report)
    yield "study.json", _text(dict(report))
    for name, (image, page) in study_charts(report).items():
        yield f"{name}.png", image
        yield f"{name}.html", page


def trials_csv(report: Mapping[str, Any]) -> bytes:
    """A row for each trial: number, state, value and what was searched."""
    names = searched(report)
    rows: list[list[Any]] = [["number", "state", "value", *names]]
    for trial in report["trials"]:
        values = flat(trial["params"])
        rows.append([trial["number"], trial["state"], trial["value"], *map(values.get, names)])
    text = io.StringIO()
    write_csv_rows(text, rows)
    return text.getvalue().encode()


def _shown(event: Event[AnyEvent]) -> Json:
    form = FORMATS[event.name]
    return {**form.content(event.content), "schema": form.schema}


def _json(news: News, key: str) -> Json | None:
    data = news.store.get(key)
    return None if data is None else json.loads(data)


def _text(value: Json) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()
