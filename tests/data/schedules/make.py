"""Makes expected.txt: when the schedules of tests/schedules.rs are due, by walking every minute of the year with Python's
zoneinfo. It knows nothing of how newswatch does it.

    python3 tests/data/schedules/make.py > tests/data/schedules/expected.txt

A line is a zone, a name, the first moment, and the minutes from each moment to the next. Quiet hours are pairs of moments:
it begins, it ends.
"""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

ZONES = ["Europe/Zurich", "America/New_York", "Asia/Seoul", "Asia/Kathmandu", "Pacific/Apia"]
# Apia went from 29 to 31 December 2011.
START = datetime(2011, 3, 20, tzinfo=timezone.utc)
END = datetime(2012, 5, 1, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
DAILY = range(7)
WEEKDAYS = range(5)


def walk(zone):
    """Every minute, and what the clocks show then."""
    moments = []
    at = START
    while at < END:
        moments.append((at, at.astimezone(zone).replace(tzinfo=None, fold=0)))
        at += MINUTE
    return moments


def crossings(moments, wanted, last):
    """For each wanted time of the clocks the minute at which they pass it: the first one, or the last one."""
    found = {}
    for (_, before), (at, shown) in zip(moments, moments[1:]):
        if shown <= before:
            continue
        if shown - before == MINUTE:
            passed = [shown] if shown in wanted else []
        else:
            passed = [time for time in wanted if before < time <= shown]
        for time in passed:
            if last or time not in found:
                found[time] = at
    return found


def times(dates, days, clock):
    hour, minute = map(int, clock.split(":"))
    return {datetime(date.year, date.month, date.day, hour, minute) for date in dates if date.weekday() in days}


def quiet(moments, dates, hours):
    """Pairs of beginning and end; those that touch or overlap are one."""
    pairs = []
    for begin, end, days in hours:
        begins = crossings(moments, times(dates, days, begin), last=False)
        ends = crossings(moments, times(dates, DAILY, end), last=True)
        for shown, at in begins.items():
            day = shown.date()
            if end <= begin:
                day = dates[dates.index(day) + 1] if dates.index(day) + 1 < len(dates) else None
            over = day and ends.get(datetime.combine(day, datetime.strptime(end, "%H:%M").time()))
            if over and over > at:
                pairs.append((at, over))
    pairs.sort()
    joined = []
    for begin, end in pairs:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return [moment for pair in joined for moment in pair]


def line(zone, name, moments):
    gaps = [int((after - before) / MINUTE) for before, after in zip(moments, moments[1:])]
    print(zone, name, moments[0].strftime("%Y-%m-%dT%H:%M:%SZ"), *gaps)


for name in ZONES:
    moments = walk(ZoneInfo(name))
    dates = sorted({shown.date() for _, shown in moments})
    schedules = {
        "twice": times(dates, DAILY, "02:30") | times(dates, DAILY, "16:00"),
        "week": times(dates, WEEKDAYS, "07:30"),
        "days": times(dates, DAILY, "00:00"),
    }
    for schedule, wanted in schedules.items():
        line(name, schedule, sorted(set(crossings(moments, wanted, last=False).values())))
    line(name, "nights", quiet(moments, dates, [("22:00", "07:00", DAILY)]))
    line(name, "weekends", quiet(moments, dates, [("00:00", "06:10", DAILY), ("00:00", "00:00", [5, 6])]))
