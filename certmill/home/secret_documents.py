"""Writes the Secrets of the Secret documents that a person has put into manifests/. A survey only finds them;
who wants the Secrets calls this."""

from __future__ import annotations

from dataclasses import replace

from certmill.home.base import Home, Survey


def survey_and_write(home: Home) -> Survey:
    """Write a Secret for each new or changed Secret document, and return the survey after that. What could
    not be written is among its problems. Raises HomeUnavailable."""
    survey = home.survey()
    if not survey.unwritten:
        return survey
    problems = home.write_documented(survey.unwritten)
    after = home.survey()  # the signature of an issuer covers the Secrets that it refers to
    return replace(after, problems=(*after.problems, *problems))
