"""Small messages of everyday, generated: positions, flights, earthquakes.

Fields, lengths and the number of topics are like those of public data sets; the values are made up,
and the same in every run.
"""

import random

from stream import Message, Stream, compact

TAIL = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
AIRPORTS = "ATL BOS CLT DEN DFW FLL IAH LAX MCO MIA ORD RDU SEA SFO TPA".split()
PLACES = [
    "Amboy, Washington",
    "Anza, CA",
    "Cantwell, Alaska",
    "Guánica, Puerto Rico",
    "Pāhala, Hawaii",
]


def streams():
    return [
        Stream("gps", "GPS points", "small", list(gps(4 * 978))),
        Stream("flights", "flights", "small", list(flights(2 * 3178))),
        Stream("earthquakes", "earthquakes", "small", list(earthquakes(1700))),
    ]


def gps(count):
    rng = random.Random(978)
    for number in range(count):
        point = {
            "lat": round(rng.uniform(46, 48), 6),
            "lon": round(rng.uniform(6, 9.9), 5),
            "t": 1_700_000_000 + number // 40,
        }
        yield Message(f"gps/{rng.randrange(978) if number >= 978 else number}", compact(point))


def flights(count):
    rng = random.Random(3178)
    for number in range(count):
        tail = number % 3178
        hour, minute = rng.randrange(5, 23), rng.randrange(60)
        month, day = 1 + number * 12 // count, rng.randrange(1, 29)
        late = rng.choice([-6, -3, 0, 2, 11, 45])
        tailnum = f"N{100 + tail % 900}{TAIL[tail // 900 + 10]}{TAIL[tail * 7 % 24 + 10]}"
        flight = {
            "year": 2013,
            "month": month,
            "day": day,
            "dep_time": hour * 100 + (minute + max(late, 0)) % 60,
            "sched_dep_time": hour * 100 + minute,
            "dep_delay": late,
            "arr_time": rng.randrange(100, 2360),
            "sched_arr_time": rng.randrange(100, 2360),
            "arr_delay": late + rng.randrange(-20, 20),
            "carrier": rng.choice(["UA", "AA", "B6", "DL", "EV", "WN"]),
            "flight": rng.randrange(1, 6181),
            "tailnum": tailnum,
            "origin": rng.choice(["EWR", "JFK", "LGA"]),
            "dest": rng.choice(AIRPORTS),
            "air_time": None if rng.random() < 0.02 else rng.randrange(40, 400),
            "distance": rng.randrange(80, 2600),
            "hour": hour,
            "minute": minute,
            "time_hour": f"2013-{month:02}-{day:02}T{hour:02}:00:00Z",
        }
        yield Message(f"flights/{tail}", compact(flight))


def earthquakes(count):
    rng = random.Random(712)
    for number in range(count):
        net = rng.choice(["ak", "ci", "hv", "nc", "nn", "pr", "us", "uu", "uw", "nm", "mb", "se"])
        code = f"{rng.randrange(10_000_000, 99_999_999)}"
        time = 1_700_000_000_000 + number * 354_321
        magnitude, place = round(rng.uniform(-0.5, 6), 2), rng.choice(PLACES)
        distance = f"{rng.randrange(1, 99)}km {rng.choice(['N', 'SSE', 'WNW', 'E'])}"
        page = "https://earthquake.example.org/earthquakes"
        quake = {
            "type": "Feature",
            "properties": {
                "mag": magnitude,
                "place": f"{distance} of {place}",
                "time": time,
                "updated": time + rng.randrange(10_000_000),
                "tz": rng.choice([-480, -540, -240, -600]),
                "url": f"{page}/eventpage/{net}{code}",
                "detail": f"{page}/feed/v1.0/detail/{net}{code}.geojson",
                "felt": rng.choice([None, None, None, 4]),
                "cdi": rng.choice([None, None, None, 3.4]),
                "mmi": None,
                "alert": None,
                "status": rng.choice(["reviewed", "automatic"]),
                "tsunami": 0,
                "sig": rng.randrange(600),
                "net": net,
                "code": code,
                "ids": f",{net}{code},",
                "sources": f",{net},",
                "types": ",geoserve,nearby-cities,origin,phase-data,",
                "nst": rng.choice([None, rng.randrange(4, 60)]),
                "dmin": round(rng.uniform(0, 2), 6),
                "rms": round(rng.uniform(0, 1.4), 2),
                "gap": rng.randrange(20, 300),
                "magType": rng.choice(["ml", "md", "mb", "mwr"]),
                "type": "earthquake",
                "title": f"M {magnitude:.1f} - {place}",
            },
            "geometry": {
                "type": "Point",
                "coordinates": [
                    round(rng.uniform(-180, 180), 7),
                    round(rng.uniform(-60, 70), 7),
                    round(rng.uniform(-2, 200), 2),
                ],
            },
            "id": f"{net}{code}",
        }
        yield Message(f"quake/{net}", compact(quake))
