"""Words that stand in nearly any text of a language, and tell nothing; folded, see segments.py.

Those of English are the list of the Snowball project
(https://snowballstem.org/algorithms/english/stop.txt, BSD licence), which leaves out words that
are something else as well: may and US, a will, a can, might. Its contractions stand without their
apostrophe, as people type them, but for those that are words of their own then (well, ill, shed).

The others are shorter lists of our own, of what is grammar nearly always. What may name a day, a
month or a season is in none: "été" is French for been, and for summer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["STOP_WORDS_BY_LANGUAGE"]

_ENGLISH = """
    a about above after again against all am an and any are arent as at be because been before
    being below between both but by cannot cant could couldnt did didnt do does doesnt doing dont
    down during each few for from further had hadnt has hasnt have havent having he her here heres
    hers herself hes him himself his how hows i if im in into is isnt it its itself ive me more most
    mustnt my myself no nor not of off on once only or other ought our ours ourselves out over own
    same shant she shes should shouldnt so some such than that thats the their theirs them
    themselves then there theres these they theyd theyll theyre theyve this those through to too
    under until up very was wasnt we were werent weve what whats when whens where wheres which while
    who whom whos why whys with wont would wouldnt you youd youll your youre yours yourself
    yourselves youve hed
"""
_GERMAN = """
    aber alle als also am an auch auf aus bei bin bis bist da damit dann das dass dein dem den der
    des dessen die dies diese dieser dieses doch dort du durch ein eine einem einen einer eines er
    es euch euer fur hat hatte hatten ich ihm ihn ihr ihre im in ist ja jede jeder jedes kann kein
    keine mein mich mir mit nach nicht nichts noch nun nur ob oder ohne sehr sein seine sich sie
    sind so uber um und uns unser unter vom von vor war waren was weil wenn wer werden wie wieder
    wir wird wo zu zum zur zwar
"""
_FRENCH = """
    a ai au aux avec c ce ces cette d dans de des du elle elles en est et etait etre eu il ils j je
    l la le les leur leurs lui m ma mais me mes moi mon n ne nos notre nous on ont ou par pas pour
    qu que qui s sa sans se ses son sont sur t ta te tes toi ton tu un une vos votre vous y
"""
_SPANISH = """
    a al algo con como cual de del desde donde e el ella ellas ellos en entre era es esa ese eso
    esta este esto fue ha han hasta hay la las le les lo los mas me mi mis mucho muy nada ni no nos
    o os para pero por porque que quien se ser si sin sobre son su sus te tu tus un una uno y ya yo
"""
_ITALIAN = """
    a ad agli ai al alla alle anche c che chi ci come con cui d da dai dal dalla de degli dei del
    della delle di e ed era gli ha hanno ho i il in io l la le lei lo loro lui ma mi mia mio ne nei
    nel nella noi non o per piu quella quello questa questo se si sono su sua sul sulla suo ti tra
    tu tuo un una uno vi voi
"""
_PORTUGUESE = """
    a ao aos as com como da das de dela dele depois do dos e ela elas ele eles em entre era essa
    esse esta este eu foi ha isso isto ja la lhe mais mas me meu minha muito na nao nas nem no nos
    o os ou para pela pelo por qual quando que quem se sem ser seu sua so sao tambem te tem um uma
    voce
"""
_DUTCH = """
    aan als bij dan dat de der deze die dit dit door een en er haar had heb heeft hem het hier hij
    hoe hun ik in is ja je kan maar me men met mij mijn naar niet nog nu of om omdat ons ook op over
    te tot u uit van veel voor was wat we wel werd wie wij worden zal ze zich zij zijn zo zonder zou
"""
_RUSSIAN = """
    а без бы был была были было быть в вам вас весь во вот все всё вы где да для до его ее её если
    есть еще ещё же за и из или им их к как ко когда кто ли мне мы на над не него нее нет ни но о об
    он она они оно от по под при с со так также там то тот тут ты у уже что чтобы это этот я
"""  # noqa: RUF001 - Cyrillic letters are what is meant

STOP_WORDS_BY_LANGUAGE: Final[Mapping[str, frozenset[str]]] = {
    "dutch": frozenset(_DUTCH.split()),
    "english": frozenset(_ENGLISH.split()),
    "french": frozenset(_FRENCH.split()),
    "german": frozenset(_GERMAN.split()),
    "italian": frozenset(_ITALIAN.split()),
    "portuguese": frozenset(_PORTUGUESE.split()),
    "russian": frozenset(_RUSSIAN.split()),
    "spanish": frozenset(_SPANISH.split()),
}
