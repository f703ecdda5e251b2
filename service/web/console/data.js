// @ts-check
// The data page: what people were answered, what is held back, what came in from files, and what cycles made of it.

import { showAnswers, wireAnswers } from "/web/console/data/answers.js";
import { showDatasets } from "/web/console/data/datasets.js";
import { showDocuments, wireDocuments } from "/web/console/data/documents.js";
import { showPictures, wirePictures } from "/web/console/data/pictures.js";
import { showReview, wireReview } from "/web/console/data/review.js";
import { page } from "/web/console/frame.js";
import { tabs } from "/web/console/tabs.js";
import { byId } from "/web/shared/dom.js";

/** @type {Record<string, () => unknown>} */
const SHOWN = { answers: showAnswers, review: showReview, documents: showDocuments, datasets: showDatasets, pictures: showPictures };

for (const wire of [wireAnswers, wireReview, wireDocuments, wirePictures]) wire();
page(tabs(byId("tabs"), (name) => SHOWN[name]()));
