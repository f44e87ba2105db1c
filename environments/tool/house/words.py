"""What people of the house ask for: intents with their slots, the ways to say them, and the values of the slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Intent:
    """Something that can be asked for. `new` are the phrasings that only the test split has."""

    name: str
    slots: tuple[str, ...]
    seen: tuple[str, ...]
    new: tuple[str, ...]


INTENTS = (
    Intent(
        "remind", ("person", "topic", "when"),
        (
            "Remind {person} about the {topic} on {when}.",
            "Tell {person} not to forget the {topic} on {when}.",
            "Send {person} a reminder about the {topic} for {when}.",
        ),
        (
            "{person} must be reminded of that {topic} on {when}.",
            "About that {topic} on {when}, please remind {person}.",
        ),
    ),
    Intent(
        "meet", ("person", "room", "when"),
        (
            "Set up a meeting with {person} in the {room} on {when}.",
            "Arrange to meet {person} in the {room} on {when}.",
            "Plan a meeting with {person} in the {room} for {when}.",
        ),
        (
            "On {when} I would like our {room} for a meeting with {person}.",
            "Our {room} is free on {when}, let me meet {person} there.",
        ),
    ),
    Intent(
        "send", ("document", "person"),
        (
            "Send the {document} to {person}.",
            "Forward the {document} to {person}.",
            "Email the {document} to {person}.",
        ),
        (
            "{person} needs our {document}, please forward it.",
            "Please make sure that {person} gets our {document}.",
        ),
    ),
    Intent(
        "buy", ("number", "goods", "shop"),
        (
            "Buy {number} {goods} from {shop}.",
            "Order {number} {goods} from {shop}.",
            "Get {number} {goods} from {shop}.",
        ),
        (
            "At {shop} they have {goods}, please buy {number} of them.",
            "At {shop} we should get {number} of their {goods}.",
        ),
    ),
    Intent(
        "pay", ("person", "amount", "purpose"),
        (
            "Pay {person} {amount} for the {purpose}.",
            "Transfer {person} {amount} for the {purpose}.",
            "Refund {person} {amount} for the {purpose}.",
        ),
        (
            "{person} paid {amount} for our {purpose}, pay it back.",
            "Our {purpose} came to {amount}, please pay that to {person}.",
        ),
    ),
    Intent(
        "set", ("device", "room", "value"),
        (
            "Set the {device} in the {room} to {value}.",
            "Turn the {device} in the {room} to {value}.",
            "Change the {device} in the {room} to {value}.",
        ),
        (
            "Adjust our {room} {device} to {value}.",
            "In our {room}, please turn that {device} to {value}.",
        ),
    ),
    Intent(
        "cancel", ("event", "when"),
        (
            "Cancel the {event} on {when}.",
            "Call off the {event} on {when}.",
            "Drop the {event} on {when}.",
        ),
        (
            "On {when} nobody has time for that {event}, so call it off.",
            "Our {event} cannot take place on {when}, please cancel it.",
        ),
    ),
    Intent(
        "play", ("music", "room", "minutes"),
        (
            "Play {music} in the {room} for {minutes}.",
            "Put on {music} in the {room} for {minutes}.",
            "Start {music} in the {room} for {minutes}.",
        ),
        (
            "In our {room} there should be some {music} for {minutes}.",
            "Our {room} needs {minutes} of {music}.",
        ),
    ),
)  # fmt: skip

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOURS = ("8am", "9am", "10am", "11am", "1pm", "2pm", "3pm", "4pm", "5pm", "6pm", "7pm", "8pm")

VALUES: Mapping[str, tuple[str, ...]] = {
    "person": (
        "Anna", "Tom", "Maria", "Peter", "Lucy", "David", "Emma", "Paul", "Sarah", "James", "Julia", "Mark", "Laura",
        "Kevin", "Alice", "Robert", "Helen", "Simon", "Nina", "Oscar", "Diana", "Victor", "Rosa", "Frank", "Clara",
        "Adam", "Bella", "Carl", "Daniel", "Eva", "Felix", "Grace", "Henry", "Ivan", "Jane", "Karen", "Leo", "Martin",
        "Nora", "Olivia", "Philip", "Rachel", "Steven", "Teresa", "Walter", "Susan", "Brian", "Linda", "George", "Ruth",
    ),
    "topic": (
        "budget", "contract", "survey", "workshop", "dentist", "passport", "laundry", "medicine", "password",
        "homework", "deadline", "birthday", "visa", "election", "exam", "parade", "vaccine", "speech", "trial",
        "audition",
    ),
    "purpose": (
        "rent", "repair", "insurance", "tickets", "painting", "delivery", "hotel", "camera", "roof", "fence", "taxi",
        "haircut", "massage", "bicycle", "guitar", "mattress", "parking", "groceries", "fuel", "carpet",
    ),
    "room": (
        "kitchen", "office", "library", "garage", "basement", "bedroom", "studio", "hall", "attic", "cellar", "lounge",
        "nursery", "workroom", "bathroom",
    ),
    "document": (
        "invoice", "report", "agenda", "menu", "schedule", "letter", "map", "photos", "recipe", "manual", "receipt",
        "drawing", "summary", "brochure", "catalogue", "certificate", "proposal", "newsletter", "plan", "form",
        "essay", "poster", "transcript", "leaflet", "permit", "sketch", "timetable", "questionnaire", "article", "memo",
        "chart", "warranty", "logo", "itinerary", "syllabus", "spreadsheet",
    ),
    "number": ("2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "15", "20"),
    "goods": (
        "apples", "candles", "spoons", "chairs", "eggs", "towels", "pens", "bottles", "plates", "lemons", "batteries",
        "cups", "flowers", "blankets", "folders", "oranges",
        "mugs", "pillows", "brushes", "napkins", "pears", "sponges", "hammers", "bulbs", "notebooks", "baskets",
        "carrots", "peaches", "scissors", "curtains", "mirrors", "bowls", "forks", "melons", "onions", "tomatoes",
    ),
    "shop": ("Aldi", "Ikea", "Tesco", "Walmart", "Lidl", "Target", "Costco", "Amazon", "Kroger", "Argos"),
    "amount": tuple(f"{n} dollars" for n in (15, 20, 25, 30, 40, 45, 50, 60, 75, 80, 90, 120)),
    "device": ("heater", "lamp", "fan", "oven", "radio", "fridge", "boiler", "dimmer", "cooler", "freezer"),
    "value": tuple(f"{n} percent" for n in (10, 15, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90)),
    "event": (
        "lunch", "lesson", "interview", "concert", "rehearsal", "tour", "seminar", "picnic", "match", "class",
        "webinar", "breakfast", "debate", "tasting", "auction", "ceremony",
        "brunch", "excursion", "festival", "lecture", "ballet", "meal", "race", "barbecue", "quiz", "conference",
        "marathon", "reunion", "banquet", "recital", "regatta", "hike",
    ),
    "music": (
        "jazz", "opera", "blues", "rock", "soul", "reggae", "country", "techno", "disco", "folk", "swing", "funk",
    ),
    "minutes": tuple(f"{n} minutes" for n in (10, 15, 20, 25, 30, 40, 45, 50, 60, 90)),
    "when": tuple(f"{day} {hour}" for day in DAYS for hour in HOURS),
}  # fmt: skip
"""Each value is one that no other slot has, and stands in a sentence as it is."""
