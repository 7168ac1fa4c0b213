/** What a conversation of mere text does without; loaded when an item needs it. */
import styles from './extras.css';

export { generatedImage } from './generated-image.js';
export { SourceCard } from './source-card.js';
export { questions, recorded } from './structured-input.js';
export { styles };
