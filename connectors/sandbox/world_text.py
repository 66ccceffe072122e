"""Words of an outdoor shop in three languages, and the sentences made of them."""

from __future__ import annotations

import re
import unicodedata

LOCALES = ("en_US", "de_DE", "fr_FR")
Words = tuple[str, str, str]  # one for each of LOCALES

BRANDS = (
    "Fjällvind", "Nordhav", "Alpenrausch", "Cairnwell", "Bergspur", "Ridgeway", "Hautvol",
    "Tarnfell", "Kestrel & Sons", "Steinbock", "Morvane", "Pinecrest", "Sollum", "Verdon",
)  # fmt: skip
SERIES = (
    "Aurora", "Borealis", "Cirrus", "Drift", "Ember", "Fell", "Glacier", "Halo", "Isle", "Juniper",
    "Karst", "Larch", "Mistral", "Nunatak", "Osprey", "Piton", "Quarry", "Ravine", "Scree",
    "Tundra", "Umbra", "Vertex", "Wander", "Zephyr",
)  # fmt: skip
AREAS: tuple[Words, ...] = (
    ("Clothing", "Bekleidung", "Vêtements"),
    ("Camping", "Camping", "Bivouac"),
    ("Climbing", "Klettern", "Escalade"),
    ("Footwear", "Schuhe", "Chaussures"),
    ("Backpacks", "Rucksäcke", "Sacs à dos"),
    ("Winter", "Winter", "Hiver"),
    ("Water Sports", "Wassersport", "Sports d'eau"),
    ("Bike", "Fahrrad", "Vélo"),
)
PURPOSES: tuple[Words, ...] = (
    ("for Hiking", "zum Wandern", "pour la randonnée"),
    ("for Alpine Tours", "für Hochtouren", "pour l'alpinisme"),
    ("for Travel", "für Reisen", "pour le voyage"),
    ("for Families", "für Familien", "pour la famille"),
    ("for Running", "zum Laufen", "pour la course"),
    ("for Expeditions", "für Expeditionen", "pour l'expédition"),
    ("for Every Day", "für jeden Tag", "pour tous les jours"),
    ("for Children", "für Kinder", "pour les enfants"),
)
NOUNS: tuple[Words, ...] = (
    ("Rain Jacket", "Regenjacke", "Veste de pluie"),
    ("Down Jacket", "Daunenjacke", "Doudoune"),
    ("Trekking Trousers", "Trekkinghose", "Pantalon de trek"),
    ("Merino Shirt", "Merinohemd", "Chemise mérinos"),
    ("Dome Tent", "Kuppelzelt", "Tente dôme"),
    ("Sleeping Bag", "Schlafsack", "Sac de couchage"),
    ("Sleeping Mat", "Isomatte", "Matelas isolant"),
    ("Gas Stove", "Gaskocher", "Réchaud à gaz"),
    ("Climbing Rope", "Kletterseil", "Corde d'escalade"),
    ("Harness", "Klettergurt", "Baudrier"),
    ("Helmet", "Kletterhelm", "Casque"),
    ("Carabiner", "Karabiner", "Mousqueton"),
    ("Hiking Boots", "Wanderstiefel", "Chaussures de randonnée"),
    ("Trail Shoes", "Trailschuhe", "Chaussures de trail"),
    ("Sandals", "Sandalen", "Sandales"),
    ("Day Pack", "Tagesrucksack", "Sac à dos léger"),
    ("Trekking Pack", "Trekkingrucksack", "Sac à dos de trek"),
    ("Duffel Bag", "Reisetasche", "Sac de voyage"),
    ("Snowshoes", "Schneeschuhe", "Raquettes à neige"),
    ("Avalanche Probe", "Lawinensonde", "Sonde d'avalanche"),
    ("Headlamp", "Stirnlampe", "Lampe frontale"),
    ("Water Bottle", "Trinkflasche", "Gourde"),
    ("Kayak", "Kajak", "Kayak"),
    ("Dry Bag", "Packsack", "Sac étanche"),
    ("Bike Pannier", "Fahrradtasche", "Sacoche de vélo"),
    ("Multi Tool", "Multiwerkzeug", "Outil multifonction"),
    ("Gloves", "Handschuhe", "Gants"),
    ("Wool Hat", "Wollmütze", "Bonnet en laine"),
)
QUALITIES: tuple[Words, ...] = (
    ("Ultralight", "Ultraleicht", "ultra-léger"),
    ("Waterproof", "Wasserdicht", "imperméable"),
    ("Insulated", "Wärmend", "isolé"),
    ("Breathable", "Atmungsaktiv", "respirant"),
    ("Rugged", "Robust", "résistant"),
    ("Packable", "Packbar", "compactable"),
    ("Recycled", "Aus Rezyklat", "recyclé"),
    ("Windproof", "Winddicht", "coupe-vent"),
)
OPENINGS: tuple[Words, ...] = (
    (
        "The {name} goes where the path ends and the weather turns.",
        "{name}: für Touren, bei denen der Weg endet und das Wetter umschlägt.",
        "{name} : là où le sentier s'arrête et où le temps tourne.",
    ),
    (
        "Built for long days outside, the {name} keeps its shape season after season.",
        "Für lange Tage draußen gebaut: {name} bleibt Saison für Saison in Form.",
        "Conçu pour de longues journées dehors, {name} garde sa forme saison après saison.",
    ),
    (
        "Our workshop spent two winters on the {name}, and it shows in every detail.",
        "Zwei Winter hat unsere Werkstatt an {name} gearbeitet, und man sieht es überall.",
        "Notre atelier a passé deux hivers sur {name}, et chaque détail le montre.",
    ),
)
MIDDLES: tuple[Words, ...] = (
    (
        "Seams are taped by hand, zips run smoothly with cold fingers, and every part that can "
        "wear out can also be replaced at home without tools.",
        "Die Nähte sind von Hand verschweißt, die Reißverschlüsse laufen auch mit kalten Fingern, "
        "und was verschleißen kann, lässt sich zu Hause ohne Werkzeug tauschen.",
        "Les coutures sont étanchées à la main, les fermetures glissent même avec les doigts "
        "gelés, et chaque pièce d'usure se remplace à la maison sans outil.",
    ),
    (
        "The fabric is woven in a family mill, weighs next to nothing and dries overnight on a "
        "branch; the finish contains no fluorocarbons.",
        "Der Stoff kommt aus einer Weberei in Familienhand, wiegt fast nichts und trocknet über "
        "Nacht am Ast; die Ausrüstung ist frei von Fluorcarbonen.",
        "Le tissu vient d'un tissage familial, ne pèse presque rien et sèche en une nuit sur une "
        "branche ; le traitement ne contient pas de fluorocarbures.",
    ),
    (
        "It packs down to the size of a loaf of bread, carries its load close to the body and "
        "asks for no care beyond a brush and lukewarm water.",
        "Das Packmaß entspricht einem Laib Brot, die Last liegt nah am Körper, und zur Pflege "
        "genügen eine Bürste und lauwarmes Wasser.",
        "Il se range dans le volume d'une miche de pain, garde la charge près du corps et ne "
        "demande qu'une brosse et de l'eau tiède pour l'entretien.",
    ),
)
CLOSINGS: tuple[Words, ...] = (
    (
        "Tested in the hills above the fjord. Five years of guarantee, repairs for life.",
        "Getestet in den Höhen über dem Fjord. Fünf Jahre Garantie, Reparatur ein Leben lang.",
        "Testé sur les hauteurs du fjord. Garantie cinq ans, réparation à vie.",
    ),
    (
        "Made in small series; numbered, and easy to pass on to the next owner one day.",
        "In kleiner Serie gefertigt, nummeriert und eines Tages leicht weiterzugeben.",
        "Fabriqué en petite série, numéroté, et facile à transmettre un jour.",
    ),
)
COLOURS = ("black", "moss", "rust", "slate", "ochre", "fjord blue", "berry", "sand")
SIZES = ("S", "M", "L", "XL")
REVIEW_TITLES = (
    "Sends the wrong message", "Not for me", "Does what it should", "Very good", "Best I have owned",
)  # fmt: skip
REVIEW_BODIES = (
    "Gave up on the second day; the seam opened and the shop was slow to answer.",
    "Looks better than it works. I sent it back after one rainy weekend.",
    "Solid, no surprises. The colour is a little darker than on the picture.",
    "Three weeks of rain in Norway and still like new. A bit heavy, worth it.",
    "Größe passt perfekt, Verarbeitung top. I would buy it again tomorrow – und zwar sofort.",
)
FIRST_NAMES = (
    "Anna", "Björn", "Chloé", "David", "Élise", "Finn", "Greta", "Hugo", "Ines", "Jörg", "Karen",
    "Luc", "Maya", "Noah", "Odile", "Paul", "Renée", "Søren", "Theo", "Ursula", "Vera", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Andersson", "Becker", "Castellane", "Dubois", "Evans", "Fournier", "Großmann", "Hansen",
    "Iversen", "Jansen", "Keller", "Lefèvre", "Müller", "Nielsen", "Ortega", "Petit", "Quinn",
    "Rossi", "Schröder", "Taylor", "Underwood", "Weiß",
)  # fmt: skip
COMPANY_ENDINGS = ("Outfitters", "Sport", "Mountain Supply", "& Co.", "Expeditions", "Trading")
STREETS = ("Hauptstraße", "Lindenweg", "Rue des Alpes", "Harbour Road", "Market Street", "Bergweg")
CITIES = (  # city, postcode prefix, country
    ("Berlin", "10", "DE"), ("München", "80", "DE"), ("Köln", "50", "DE"), ("Lyon", "69", "FR"),
    ("Grenoble", "38", "FR"), ("Amsterdam", "10", "NL"), ("Denver", "80", "US"),
    ("Portland", "97", "US"), ("Boulder", "80", "US"), ("Innsbruck", "60", "AT"),
)  # fmt: skip
PHONE_CODES = {"DE": "+49 30", "FR": "+33 4", "NL": "+31 20", "US": "+1 303", "AT": "+43 512"}

_NO_SLUG = re.compile(r"[^a-z0-9]+")
_SPELLED = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE"})


def ascii_fold(text: str) -> str:
    """Only ASCII letters: for slugs and mail addresses."""
    plain = unicodedata.normalize("NFKD", text.translate(_SPELLED))
    return plain.encode("ascii", "ignore").decode()


def slugify(text: str) -> str:
    return _NO_SLUG.sub("-", ascii_fold(text).lower()).strip("-")
