r"""The words by which a number is something else: a telephone's, a price, a place, a quantity.

Patterns that end in ``\Z`` are searched in the window before a number, the others in the one
behind it: a few dozen characters, so none can take long.
"""

from __future__ import annotations

import re

from lstmserve_server.replies.order_numbers.naming import FLAGS, any_of

NOUN = any_of(
    r"""phones? tel telephone mobile cell fax whatsapp zip zipcode post_?code postal p\.?o\.?_box
    pin otp cvv cards? iban bic account customer client member membership loyalty user years? since
    price costs? paid pay total amount worth charged? refund refunded discount vouchers? coupon
    promo model sku item article product serial version sizes? rooms? flat apartment apt suite unit
    house street address floor ext extension born birthday dob date dated quantity qty age error
    tracking invoice tickets? case transaction receipt rma ean upc isbn imei locker pickup flight
    weighs? budget minimum maximum min max
    value limit salary took live_at (?:call|ring|text|reach|phone|contact)_(?:me|us|him|her|back)"""
)
# my phone is 07911123456
BEFORE = re.compile(rf"\b{NOUN}\b[^\n?!\d]{{0,24}}\Z", FLAGS)
# 10115 is my postcode
AFTER = re.compile(rf"\s*[,-]?\s*(?:is|was|as|=)\s+(?:my|our|the)\s+(?:\w+\ )?{NOUN}\b", FLAGS)
# I would like to order 12
ORDERING = re.compile(
    r"(?:\b"
    + any_of("to i we you they can could cannot can't would will must might should also always")
    + r"|'(?:ll|d))\s+order\b[^\n?!\d]{0,24}\Z",
    FLAGS,
)
# in 10115, more than 4500, paid it for 4500, starts with 55
COUNTING = re.compile(
    r"(?:\b(?:"
    + any_of(
        """in at near from to until till by than over above under below within between before after
        only nearly almost roughly approx approximately around circa ca every per each least most
        exceeding offer offered pay charged deliver ship supply make add take spend spent earn call
        ring dial text phone ordered ordering bought buy need want sold have cost like of"""
    )
    + r"|(?:got|paid|had|cost|took|sold|bought)\b[\w\ ]{0,12}\bfor"
    r"|(?:starts?|starting|begins?|beginning|ends?|ending)(?:\ \w+){0,2})\.?"
    r"|[~<>≈])\s*\Z",
    FLAGS,
)
ON = re.compile(r"\b(?:on|dated)\s+(?:the\s+)?\Z", FLAGS)
# the sentence is over or goes on; any other word is what the number counts: 4500 lamps
ENDS = re.compile(
    r"\s*(?:[^\w\s%€$£¥°]|\Z|\n)|\s+"
    + any_of(
        """a?nd but or please pls plz thanks? thank_you thx ty cheers to from for on which that who
        yet as if when with in into it its i im my me we our us the this these a an has have had is
        was were are did do does will would can could should
        (?:has|have|had|is|was|were|are|did|do|does|wo|would|ca|could|should)n'?t still never not no
        neither nor because arrived arrives came comes shows says said states where what why how
        shipped went got at by today yesterday tomorrow now again already also too just only hi
        hello since after before until placed ordered made delivered being instead right last
        earlier recently back twice first anymore ok okay gone so there here lost missing late
        damaged broken over about u either then than number order wrong sir madam ma'am mate guys
        asap cancel refund return track check change help urgently contains contained needs seems
        looks disappeared stuck failed"""
    )
    + r"\b(?![-'])",
    FLAGS,
)
CURRENCY_AFTER = re.compile(
    r"\s*(?:%|[€$£¥](?!\s?\d)|,-|"
    + any_of(
        """euros? eur dollars? usd pounds? gbp quid bucks cents pence rs inr rupees yen chf francs
        kr percent k"""
    )
    + r"\b)",
    FLAGS,
)
CURRENCY_BEFORE = re.compile(r"(?:[$€£¥₹]|\b(?:EUR|USD|GBP|CHF|AUD|CAD|INR|[Rr]s)\b\.?)\s*\Z")
MONTH = any_of(
    """jan(?:uary)? feb(?:ruary)? mar(?:ch)? apr(?:il)? may june? july? aug(?:ust)?
    sept?(?:ember)? oct(?:ober)? nov(?:ember)? dec(?:ember)?"""
)
MONTH_BEFORE = re.compile(rf"\b{MONTH}\.?\s+(?:the\s+)?\Z", FLAGS)
MONTH_AFTER = re.compile(rf"\s*(?:of\s+)?{MONTH}\b", FLAGS)
# (0)1 2345 6789
AREA_BEFORE = re.compile(r"\(\+?\d{1,5}\)\s*\Z")
# Berlin 10115, behind another word: it does not begin the sentence; in Austin, 78701
PLACE = re.compile(
    r"(?:[a-z,]\s+[A-Z][a-z]+|[A-Z][a-z]+,\s+[A-Z]{2}|\b(?:to|in|at|near|from)\s+[A-Z][a-z]+,)\s+\Z"
)
# my WH-1000XM4, which is a thing
ARTICLE = re.compile(r"\b(?:my|your|our|a|an|the|this)\s+\Z", FLAGS)
# in what the agent says
ASKS_OTHER = re.compile(
    r"\b(?:"
    + any_of(
        """how_many how_much how_old how_long how_often when which_year which_day which_date
        what_year what_day what_date what_time on_which call reach contact"""
    )
    + rf"|{NOUN})\b[^\n]{{0,120}}\Z",
    FLAGS,
)
