"""OSSI XML: the console's machine interface, as far as its documentation shows it: QueryOmStats.

The user and the password stand in the query string of the request, as on a real system; whoever serves this
application must not write an access log. Requests give times without a zone: they are read as UTC, in which the
samples are answered (`Z`). Samples cover 15 minutes. Names of statistics follow the published mapping of KPIs
(`Msg In Count`, `Msg Out Count`); the wrapper of the reply is not published, `<Statistics>` is the outermost here.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime

from lab.state import Kind, OmSample
from lab.world import World

LIMIT = 1 << 20  # bytes of a request
GROUPS = ("AFSessionStats", "PolicyServerStats")


class Mistake(Exception):
    """The request cannot be answered; the text begins with a symbolic error."""


def answer(world: World, user: str, password: str, body: bytes) -> bytes:
    """The XML document that answers `body`; never raises for what a client sends."""
    try:
        if not world.ossi_login(user, password):
            raise Mistake("ERROR_USER_INVALID_CREDENTIALS: the user name or password is not correct")
        return _document(_statistics(world, _parse(body)))
    except Mistake as mistake:
        return _document(_failure(str(mistake)))


def _parse(body: bytes) -> ET.Element:
    if len(body) > LIMIT:
        raise Mistake("ERROR_INVALID_REQUEST: the request is too long")
    try:
        text = body.decode("utf-8-sig")
        if "<!" in text:
            raise Mistake("ERROR_INVALID_REQUEST: a document type, comment or CDATA section is not accepted")
        root = ET.fromstring(text)  # no document type, so nothing to expand
    except (ET.ParseError, ValueError) as error:
        raise Mistake("ERROR_INVALID_REQUEST: the request is not well-formed XML") from error
    if root.tag != "XmlInterfaceRequest" or len(root) != 1:
        raise Mistake("ERROR_INVALID_REQUEST: one operation in XmlInterfaceRequest is expected")
    if root[0].tag != "QueryOmStats":
        raise Mistake(f"ERROR_UNKNOWN_OPERATION: {root[0].tag}")
    return root[0]


def _moment(query: ET.Element, tag: str) -> datetime:
    text = (query.findtext(tag) or "").strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Mistake(f"ERROR_INVALID_TIME: {tag}") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _statistics(world: World, query: ET.Element) -> ET.Element:
    begin, end = _moment(query, "StartTime"), _moment(query, "EndTime")
    if end <= begin:
        raise Mistake("ERROR_INVALID_TIME: EndTime is not after StartTime")
    since, until = ((moment - world.start).total_seconds() for moment in (begin, end))
    groups = [child for child in query if child.tag not in ("StartTime", "EndTime")]
    if not groups:
        raise Mistake("ERROR_INVALID_REQUEST: no statistics are asked for")
    result = ET.Element("Statistics")
    for group in groups:
        if group.tag not in GROUPS:
            raise Mistake(f"ERROR_UNKNOWN_STATISTICS: {group.tag}")
        out = ET.SubElement(result, group.tag)
        for server in group.findall("PolicyServer"):
            name = (server.text or "").strip()
            cluster = world.clusters.get(name)
            if cluster is None or cluster.kind is Kind.CMP:
                raise Mistake(f"ERROR_POLICY_SERVER_NOT_FOUND: {name}")
            for sample in world.om_samples(name, since, until):
                out.append(_sample(world, name, group.tag, sample))
    return result


def _sample(world: World, name: str, group: str, sample: OmSample) -> ET.Element:
    begin, end = (
        world.wall(t).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for t in (sample.begin, sample.end)
    )
    values = {
        "StartTime": begin,
        "EndTime": end,
        "PolicyServer": name,
        "IsComplete": str(sample.complete).lower(),
    }
    if group == "AFSessionStats":
        values |= {"Type": "TOTAL", "CurrentAfSessionCount": str(sample.messages_in // 10)}
    values |= {"MsgInCount": str(sample.messages_in), "MsgOutCount": str(sample.messages_out)}
    element = ET.Element("Sample")
    for tag, value in values.items():
        ET.SubElement(element, tag).text = value
    return element


def _failure(why: str) -> ET.Element:
    response = ET.Element("Response")
    ET.SubElement(response, "Result").text = "1"
    command = ET.SubElement(response, "Command", type="XmlInterfaceResponse")
    ET.SubElement(command, "Success", count="0").text = ""
    ET.SubElement(command, "Failure", count="1").text = why
    return response


def _document(root: ET.Element) -> bytes:
    text: str = ET.tostring(root, encoding="unicode", short_empty_elements=False)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
