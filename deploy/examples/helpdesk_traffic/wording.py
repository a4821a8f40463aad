"""Wording: how customers say things. `{id}` is the order as they write it, `{address}` a new address."""

from collections.abc import Mapping

ORDERS: Mapping[str, tuple[str, ...]] = {
    "refund": (
        "Hello, I would like a refund for order {id}, it is not what I expected.",
        "Please give me my money back for {id}. The zip is broken.",
        "I sent back order {id}, can you refund it?",
        "refund order {id} please, wrong size",
        "Hi there! My order {id} does not fit. I want my money back.",
    ),
    "cancel": (
        "Please cancel order {id}.",
        "I ordered twice by mistake, can you cancel {id}?",
        "Hi, I don't need it any more: please cancel my order {id}, thanks!",
        "cancel {id} before it ships please",
    ),
    "address": (
        "Please change the delivery address of order {id} to {address}",
        "I have moved. Can you send order {id} to {address}",
        "Hi, wrong address on {id}, the right one is: {address}",
    ),
    "status": (
        "What is the status of order {id}?",
        "Can you tell me what I bought with order {id}?",
        "Has order {id} been processed yet?",
        "Hi, could you look up {id} for me and tell me the status?",
    ),
    "track": (
        "Where is my parcel? Order {id}",
        "My order {id} has not arrived yet, where is it?",
        "Please track order {id} for me.",
        "Any news from the carrier about {id}?",
    ),
}
QUESTIONS = (
    "What are your opening hours?",
    "Are you open on Saturday?",
    "Do you ship to Switzerland?",
    "How much is standard shipping?",
    "How long does shipping take?",
    "Can I pay by invoice?",
    "Do you take PayPal?",
    "Do you sell gift cards?",
    "How long is a gift card valid?",
    "Is there a warranty on tents?",
    "Can you repair a down jacket?",
    "Which countries do you ship to?",
)
GREETINGS = ("", "", "Hello! ", "Good morning. ", "Hi, quick question: ")
ADDRESSES = (
    "Lindenweg 4, 20095 Hamburg",
    "Mill Lane 17, Leeds LS1 4DY",
    "Birkenallee 33, 8001 Zurich",
    "Via Roma 8, 20121 Milano",
    "Harbour Street 61, Cork T12 X70A",
)
PROPER = ("{id}",)
BARE = ("{number}", "#{number}", "no. {number}", "number {number}")
