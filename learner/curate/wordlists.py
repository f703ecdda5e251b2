"""English words that say little: what of a text is frame, and what everybody says."""

from __future__ import annotations

STOP_WORDS = """
s a about above actually after again against ago ah all almost alone along already alright also although always am amid among an
and another any anybody anyone anything anyway anywhere apart are aren't around as aside at away back be became because become
becomes been before behind being below beside besides between beyond both but by bye can can't cannot certainly cool could
couldn't course dear definitely despite did didn't do does doesn't doing don't done down due during each either else enough etc
even ever every everybody everyone everything everywhere exactly except fairly far fine for from further gave get gets getting
give given gives giving go goes going gone good goodbye got great had hadn't happens happy hardly has hasn't have haven't having
he he's hello help helps hence her here here's hers herself hey hi him himself his how how's however i i'd i'll i'm i've if in
indeed inside instead into is isn't it it's its itself just keep kind know known knows last least less let let's like likely
little look looks lot lots made mainly make makes making many may maybe me mean means might mine more moreover most mostly much
must my myself near nearly neither never nevertheless next no nobody none nor not nothing now nowhere of off often oh ok okay on
once one's only onto or other others otherwise our ours ourselves out outside over own particular particularly per perhaps
please possible possibly probably put quite rather really regarding right sad said same saw say saying says see seem seems seen
several shall shan't she she's should shouldn't simply since so some somebody somehow someone something sometimes somewhat
somewhere soon sorry still such sure surely take takes taking tell tells than thank thanks that that's the their theirs them
themselves then there there's therefore these they they'd they'll they're they've thing things this those though through
throughout thus till to today together too took toward towards truly try trying under unless unlike until up upon us use used
useful uses using usually various very via want wants was wasn't way ways we we'd we'll we're we've welcome well went were
weren't what what's whatever when whenever where where's wherever whether which whichever while who who's whoever whole whom
whose why will with within without won't would wouldn't yeah yes yet you you'd you'll you're you've your yours yourself
"""

EVERYDAY_WORDS = """
ability able accept access account accurate act action active activity add additional additionally advice afternoon age agree
aim air alive allow amount animal answer appear apply area arm arrive art article ask aspect assist attain attempt attention
available average avoid baby bad balance base basic basically basis beautiful begin behaviour believe belong benefit best better
big bit black block blue board body book boring born bottom bowl box boy break breakfast breath brief briefly bright bring
brother brown build building business busy buy call calm car care careful carry case catch cause center central centre century
certain chance change character cheap check child children choice choose city clarify class clean clear clever close clothes
cold collect color colour combine come comfort comfortable commence common commonly community company compare complete comprise
concept concern concise condition connect consider consist contain content continue control cook core correct correctly cost
count country couple cover create creation creature crucial culture current cut cute daily damage dangerous dark data date
daughter day deal decide deep degree depend describe design detail develop development difference different difficult dinner
direct direction discover discuss distance doctor door doubt draw dream dress drink drive drop dry early earth easily easy eat
edge effect effort element email empty encourage end energy enjoy ensure enter environment especially essential essentially
evening event everyday evidence example excellent exist expect expensive experience explain explore extra eye face fact fail
fair fall false family famous fast father favorite favourite feature feel feeling few field fight figure fill final finally find
finish fire first fish fit fix floor flow follow food foot force forget form free fresh friend friendly front full fun function
funny furthermore future game garden general generally gentle girl glad global goal gold grade green grey ground group grow
growth guess guide habit hair half hand hang hard harm head health healthy hear heart heat heavy high history hold hole holiday
home hope hot hour house huge human hungry husband ice idea identify image imagine immediately impact important importantly
improve include increase individual influence information inspire interest interesting invite issue item job join joy jump key
kill kitchen knowledge lack land language large late later laugh law lead learn leave left leg lesson level lie life lift light
limit line list listen live local long lose loss loud love low luck lunch machine main major man manage manner mark market
material matter maximum meal measure medium meet member memory men mention message method middle mild mind minute miss mistake
mix model modern moment money month mood morning mother motion mouth move movement music name nation natural nature necessary
need new news nice night noise normal normally north note notice number numerous object obvious occur offer office old open
opinion opportunity opposite option orange order ordinary original outcome overall overview page pain paint pair paper parent
park part party pass past path pattern pay peace people perfect perform period person personal phone phrase physical pick
picture piece place plan plant play pleasure plenty point poor popular population position positive power practical practice
prefer prepare present press pretty prevent previous price primary print private problem process produce product project promise
proper protect proud provide public pull pure purpose push quality question quick quickly quiet quietly range rare rate reach
reaching react read ready real reality reason receive recent recommend red reduce refer reflect region regular relate
relationship relax release remain remember remind remove repeat reply report represent require research respect respond response
rest result return rich ride ring rise risk role room rule run safe safety salt save scene school science sea season seat second
secret section seek self sell send sense sentence separate serious serve service set shape share sharp shoe shop short shorter
shortest shortly show side sign significant silent similar similarly simple simplest sing single sister sit situation size skill
skin sky sleep slightly slow slowly small smaller smart smell smile smooth social society soft solid solution solve son song
sort soul sound source south space speak special specific spend spirit spot spread spring stage stand standard star start state
statement stay step stick stone stop store story strange street strength strong structure student study stuff style subject
success suddenly sufficient suggest suitable summarise summarize summary summer sun support surface surprise sweet system table
talk tall task taste teach teacher team technique technology temperature term test text thick thin think thought throw tie tight
time tiny tip tired title tomorrow tone tonight tool top topic total touch town trade tradition traditional train travel treat
tree trip trouble true trust truth turn type typical typically understand unique unit universe upset utilise utilize valuable
value variety vast view visit vital voice wait wake walk wall warm wash waste watch water weather week weekend weight west wet
white wide wife wild win wind window wish woman women wonder wonderful wood word work world worry worse worst worth write wrong
year yellow yesterday young
"""
